/* Kernel: include/linux/compiler*.h. What the kernel says to sparse and to the optimiser. */

/* Kernel: an address space or a lock for sparse. Here: nothing. */
#define __rcu
/* Kernel: silences sparse. Here: nothing. */
#define __force
/* Kernel: a type of its own for sparse. Here: nothing. */
#define __bitwise
/* Kernel: warns of an unused result. Here: nothing. */
#define __must_check
/* Kernel: lets a sum wrap where a sanitizer looks. Here: nothing, -fwrapv lets it everywhere. */
#define __signed_wrap
/* Kernel: the member that counts an array. Here: nothing. */
#define __counted_by(member)
/* Kernel: inlines even where the compiler would not. Here: inline. */
#define __always_inline inline
/* Kernel: places data beside what is read often. Here: nothing. */
#define __read_mostly
/* Kernel: exactly one load, never torn. Here: a volatile load; behind that of a number of members another CPU may come. */
#define READ_ONCE(x) \
	__builtin_choose_expr(__builtin_types_compatible_p(typeof(x), unsigned short), \
			      ({ unsigned short read__ = *(const volatile unsigned short *)&(x); reference_read_number(&(x)); read__; }), \
			      *(const volatile typeof(x) *)&(x))
/* Kernel: exactly one store, never torn. Here: a volatile store; that of a link, or of a socket's group, is a step of whoever writes. */
#define WRITE_ONCE(x, val) \
	(__builtin_choose_expr(reference_is_link(x), reference_store(&(x)), (void)0), *(volatile typeof(x) *)&(x) = (val))
/* Kernel: no such thing. Here: whether this is a pointer to the next one in a chain, or to a group. */
#define reference_is_link(x) \
	(__builtin_types_compatible_p(typeof(x), struct hlist_nulls_node *) || __builtin_types_compatible_p(typeof(x), struct hlist_node *) || \
	 __builtin_types_compatible_p(typeof(x), struct sock_reuseport *))
/* Kernel: the compiler moves no memory access across it. Here: the same. */
#define barrier() __asm__ __volatile__("" : : : "memory")
/* Kernel: tells the optimiser, and a branch profiler if one is on. Here: tells the optimiser. */
#define likely(x) __builtin_expect(!!(x), 1)
/* Kernel: the opposite. Here: the same. */
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Kernel: the result depends on the arguments alone. Here: nothing. */
#define __attribute_const__
/* Kernel: bits of a bitmap, instrumented for KCSAN. Here: plain. */
#define test_bit(nr, addr) ((*(addr) >> (nr)) & 1UL)
/* Kernel: a type's or a member's alignment. Here: the same. */
#define __aligned(bytes) __attribute__((aligned(bytes)))
/* Kernel: a cache line of its own. Here: nothing. */
#define ____cacheline_aligned_in_smp
/* Kernel: a cache line of its own. Here: nothing. */
#define ____cacheline_aligned
/* Kernel: a name for a run of members. Here: nothing. */
#define __cacheline_group_begin(name)
/* Kernel: the end of that. Here: nothing. */
#define __cacheline_group_end(name)
