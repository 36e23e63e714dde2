// C++ programs: operator new, containers, templates, inlined functions, exceptions.
//
// libstdc++'s operator new has no frame pointer. It leaves the register alone, so that a walk along frame
// pointers goes from operator new straight to the caller's caller: each site has an `around_` function for
// that. Built with OWN_NEW the program has an operator new with a frame pointer, and every site is seen.

#include "truth.h"

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef OWN_NEW
NOINLINE void *operator new(size_t size) {
    void *address = malloc(size);
    if (address == nullptr) {
        throw std::bad_alloc();
    }
    return address;
}
NOINLINE void *operator new[](size_t size) {
    void *address = operator new(size);
    __asm__ volatile("" ::: "memory");
    return address;
}
void operator delete(void *address) noexcept { free(address); }
void operator delete(void *address, size_t) noexcept { free(address); }
void operator delete[](void *address) noexcept { free(address); }
void operator delete[](void *address, size_t) noexcept { free(address); }
#endif

// Both the site and the function around it hold the same blocks.
#define SITES(site, site_name, around)                                                                                 \
    SITE_NAMED(site, site_name);                                                                                       \
    SITE(around)
#define TOOK(site, around, size)                                                                                       \
    do {                                                                                                               \
        truth_took(&site##_truth, size);                                                                               \
        truth_took(&around##_truth, size);                                                                             \
    } while (0)

SITES(cart, "shop::Cart::add", around_cart);
SITES(catalogue, "shop::catalogue", around_catalogue);
SITES(vector, "shop::fill", around_vector);
SITE(site_inline);

// Keeps what nobody reads: an unused `new` may be removed by the compiler.
static void *volatile kept;

namespace shop {

struct Order {
    long id;
    char text[56];
};

class Cart {
  public:
    NOINLINE Order *add(long id) {
        Order *order = new Order;
        order->id = id;
        kept = order;
        return order;
    }
};

template <typename T> NOINLINE T *catalogue(size_t count) {
    T *items = new T[count];
    kept = items;
    return items;
}

NOINLINE void fill(std::vector<long> &numbers, size_t count) {
    numbers.reserve(count);
    kept = numbers.data();
}

} // namespace shop

static size_t heap_bytes, heap_count;

static void kept_on_heap(size_t size) {
    heap_bytes += size;
    heap_count++;
}

NOINLINE void around_cart() {
    shop::Cart cart;
    for (long id = 0; id < 40; id++) {
        shop::Order *order = cart.add(id);
        TOOK(cart, around_cart, sizeof(shop::Order));
        if (id % 4 == 0) {
            truth_gave(&cart_truth, sizeof(shop::Order));
            truth_gave(&around_cart_truth, sizeof(shop::Order));
            delete order;
        } else {
            kept_on_heap(sizeof(shop::Order));
        }
    }
}

NOINLINE void around_catalogue() {
    for (size_t count = 1; count < 20; count++) {
        shop::catalogue<int>(count);
        TOOK(catalogue, around_catalogue, count * sizeof(int));
        kept_on_heap(count * sizeof(int));
    }
}

NOINLINE void around_vector() {
    static std::vector<long> numbers;
    shop::fill(numbers, 1000);
    TOOK(vector, around_vector, 1000 * sizeof(long));
    kept_on_heap(1000 * sizeof(long));
}

// libstdc++ allocates for a string, with one byte more for the end.
NOINLINE void around_string() {
    static std::string text;
    text.reserve(100);
    kept_on_heap(101);
}

enum { INLINE_LINE = __LINE__ + 2 };
static inline __attribute__((always_inline)) void *inlined_taker(size_t size) {
    void *address = malloc(size);
    kept = address;
    return address;
}

enum { CALL_LINE = __LINE__ + 2 };
NOINLINE void site_inline(size_t size) {
    kept = inlined_taker(size);
    truth_took(&site_inline_truth, size);
    kept_on_heap(size);
}

// Exceptions are allocated, thrown through traced frames and freed.
static void throw_some() {
    for (int round = 0; round < 100; round++) {
        try {
            throw std::runtime_error("thrown on purpose");
        } catch (const std::runtime_error &error) {
            NEED(strcmp(error.what(), "thrown on purpose") == 0);
        }
    }
}

int main() {
    truth_ready();
    around_cart();
    around_catalogue();
    around_vector();
    around_string();
    site_inline(777);
    throw_some();
    truth_value("heap_bytes", heap_bytes);
    truth_value("heap_count", heap_count);
    truth_value("inline_line", INLINE_LINE);
    truth_value("call_line", CALL_LINE);
    truth_print();
    truth_hold();
}
