// A tight loop of malloc and free: a target of `cargo xtask bench`.
#include "pairs.h"

int main(void) {
    serve(pair_ns);
    return 0;
}
