/* Kernel: static keys (code that is patched) and per-CPU data. Here: plain objects. */

/* Kernel: a key that is on from the start. Here: a flag. */
struct static_key_true {
	int enabled;
};
/* Kernel: the same branch, expected to be taken. Here: a plain test of the key. */
#define static_branch_likely(key) ((key)->enabled)
/* Kernel: whether a key is on. Here: the same. */
#define static_key_enabled(key) ((key)->enabled)
/* Kernel: a key that is off. Here: the same. */
#define DEFINE_STATIC_KEY_FALSE(name) struct static_key_false name
/* Kernel: a key that is off and stays so after the boot. Here: a key that is off. */
#define DEFINE_STATIC_KEY_FALSE_RO(name) struct static_key_false name
/* Kernel: a key that is on. Here: the same. */
#define DEFINE_STATIC_KEY_TRUE(name) struct static_key_true name = { 1 }
/* Kernel: a key that is on and stays so after the boot. Here: a key that is on. */
#define DEFINE_STATIC_KEY_TRUE_RO(name) struct static_key_true name = { 1 }
/* Kernel: an object for each CPU. Here: one for all. */
#define DEFINE_PER_CPU(type, name) type name
/* Kernel: the same, on a cache line of its own. Here: one for all. */
#define DEFINE_PER_CPU_ALIGNED(type, name) type name
/* Kernel: the same. Here: one for all. */
#define DEFINE_PER_CPU_SHARED_ALIGNED(type, name) type name
/* Kernel: the same, beside what is seldom written. Here: one for all. */
#define DEFINE_PER_CPU_READ_MOSTLY(type, name) type name
/* Kernel: for sparse: an offset, not an address. Here: nothing. */
#define __percpu
/* Kernel: the object of a CPU. Here: the one for all. */
#define per_cpu(object, cpu) (object)
/* Kernel: its address. Here: that of the one for all. */
#define per_cpu_ptr(pointer, cpu) ({ (void)(cpu); (pointer); })
/* Kernel: this CPU's address of an object. Here: that of the one for all. */
#define this_cpu_ptr(pointer) (pointer)
/* Kernel: the same, unchecked. Here: the same. */
#define raw_cpu_ptr(pointer) (pointer)
/* Kernel: this CPU's object, with preemption off. Here: the one for all, counted as a section. */
#define get_cpu_var(object) (*({ reference_sections += SECTION_LOCK; &(object); }))
/* Kernel: ends that. Here: counted. */
#define put_cpu_var(object) ((void)(reference_sections -= SECTION_LOCK))
/* Kernel: this CPU's number, with preemption off. Here: the Scenario's, counted as a section. */
#define get_cpu() ({ reference_sections += SECTION_LOCK; raw_smp_processor_id(); })
/* Kernel: ends that. Here: counted. */
#define put_cpu() ((void)(reference_sections -= SECTION_LOCK))
/* Kernel: this CPU's number, where preemption is off. Here: the Scenario's. */
#define smp_processor_id() raw_smp_processor_id()
