/* Kernel: generated or assembly per architecture. Here: the compiler's builtins. */

/* Kernel: an aligned int. Here: the same. */
typedef struct {
	int counter;
} atomic_t;
/* Kernel: an aligned 64-bit integer. Here: the same. */
typedef struct {
	long long counter;
} atomic64_t;
/* Kernel: a static initialiser. Here: the same. */
#define ATOMIC_INIT(i) { (i) }
/* Kernel: plain load. Here: the same. */
#define atomic_read(v) __atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)
/* Kernel: plain store. Here: the same, and a step of whoever writes. */
#define atomic_set(v, i) (reference_store(v), __atomic_store_n(&(v)->counter, i, __ATOMIC_RELAXED))
/* Kernel: compare and exchange, *old is updated on failure. Here: the same; the Scenario's other CPU comes before and behind. */
#define atomic_try_cmpxchg_relaxed(v, old, new) \
	(reference_visit(POINT_TAKING, v), \
	 __atomic_compare_exchange_n(&(v)->counter, old, new, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED) && \
	 (reference_visit(POINT_TAKEN, v), 1))
/* Kernel: subtracts, returns the old value. Here: the same. */
#define atomic_fetch_sub_release(i, v) __atomic_fetch_sub(&(v)->counter, i, __ATOMIC_RELEASE)
/* Kernel: adds, returns the old value. Here: the same. */
#define atomic_fetch_add_relaxed(i, v) __atomic_fetch_add(&(v)->counter, i, __ATOMIC_RELAXED)
