/* Kernel: locks, and what keeps a CPU to itself. Here: one thread, which takes any of them at once. They are counted as
 * sections, so that what stays open is a difference. */

/* Kernel: a spin lock, with lockdep's data. Here: nothing of it is asked. */
typedef struct {
	int held;
} spinlock_t;
/* Kernel: a spin lock of the scheduler's. Here: the same. */
typedef spinlock_t raw_spinlock_t;
/* Kernel: readers or one writer. Here: the same as a spin lock. */
typedef spinlock_t rwlock_t;
/* Kernel: a spin lock that is free. Here: the same. */
#define DEFINE_SPINLOCK(name) spinlock_t name
/* Kernel: the scheduler's. Here: the same. */
#define DEFINE_RAW_SPINLOCK(name) raw_spinlock_t name
/* Kernel: a free lock for readers and writers. Here: the same. */
#define DEFINE_RWLOCK(name) rwlock_t name
/* Kernel: makes a lock free. Here: the same. */
#define spin_lock_init(lock) ((void)((lock)->held = 0))
/* Kernel: takes the lock of a socket. Here: counted. */
#define bh_lock_sock(sk) ((void)(reference_sections += SECTION_LOCK))
/* Kernel: takes the lock of a socket inside another one. Here: counted. */
#define bh_lock_sock_nested(sk) ((void)(reference_sections += SECTION_LOCK))
/* Kernel: gives it back. Here: counted. */
#define bh_unlock_sock(sk) ((void)(reference_sections -= SECTION_LOCK))
/* Kernel: takes a socket for its owner's call, and may sleep for it. Here: counted. */
#define lock_sock(sk) ((void)(reference_sections += SECTION_LOCK))
/* Kernel: gives it back. Here: counted. */
#define release_sock(sk) ((void)(reference_sections -= SECTION_LOCK))
/* Kernel: a retry counter for readers. Here: nobody writes. */
#define read_seqbegin(lock) 0U
/* Kernel: whether a reader has to begin again. Here: never. */
#define read_seqretry(lock, start) 0
/* Kernel: a guard of that name, until the block ends. Here: a counted section, until the block ends. */
#define guard(name) reference_guarded(__COUNTER__) = reference_guard_opens
/* Kernel: the same for one statement or block. Here: a counted section around it. */
#define scoped_guard(name, arguments...) \
	for (int scope__ __cleanup(reference_guard_closes) = reference_guard_opens(arguments), once__ = 1; once__; once__ = 0)
/* Kernel: no such thing. Here: a variable of its own for each guard. */
#define reference_guarded(number) reference_guarded_as(number)
/* Kernel: no such thing. Here: the number is no macro any more. */
#define reference_guarded_as(number) int __cleanup(reference_guard_closes) guard__##number
/* Kernel: no such thing. Here: the beginning of a guard, whatever its arguments. */
static int reference_guard_opens() { return reference_sections += SECTION_LOCK; }
/* Kernel: no such thing. Here: its end. */
static void reference_guard_closes(int *guard) { reference_sections -= SECTION_LOCK; }
/* Kernel: calls a function on a variable that goes out of scope. Here: the same. */
#define __cleanup(function) __attribute__((__cleanup__(function)))
/* Kernel: what DEFINE_FREE() of that name made, on a variable that goes out of scope. Here: the same. */
#define __free(name) __attribute__((__cleanup__(__free_##name)))
/* Kernel: a function that frees, for __free(). Here: the same. */
#define DEFINE_FREE(name, type, code) static inline void __free_##name(void *args) { type _T = *(type *)args; code; }
