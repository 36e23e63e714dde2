/* Runs what node runs, by a node that is a library: `libnode_host LIBRARY ARGUMENT ...`. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
    void *library = count < 2 ? NULL : dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
    /* int node::Start(int, char **) */
    int (*start)(int, char **) = library ? (int (*)(int, char **))dlsym(library, "_ZN4node5StartEiPPc") : NULL;
    if (!start) {
        fprintf(stderr, "%s: %s\n", arguments[0], dlerror());
        return 2;
    }
    arguments[1] = arguments[0];
    return start(count - 1, arguments + 1);
}
