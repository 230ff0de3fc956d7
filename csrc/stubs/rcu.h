/* Kernel: RCU, per-CPU data, barriers, static keys: one thread needs none of it. */

/* Kernel: starts a read-side section. Here: counted, nobody writes. */
#define rcu_read_lock() ((void)(reference_sections += SECTION_RCU))
/* Kernel: ends a read-side section. Here: counted. */
#define rcu_read_unlock() ((void)(reference_sections -= SECTION_RCU))
/* Kernel: lockdep's answer. Here: yes, the receive path reads under RCU. */
#define rcu_read_lock_held() 1
/* Kernel: lockdep's answer. Here: no, it is the other one that is held. */
#define rcu_read_lock_bh_held() 0
/* Kernel: loads a pointer that RCU protects. Here: loads it. */
#define rcu_dereference(p) READ_ONCE(p)
/* Kernel: loads a pointer under a lock. Here: loads it. */
#define rcu_dereference_protected(p, c) (p)
/* Kernel: loads the next node of a chain. Here: loads it and burns fuel, which ends an endless walk; others come before and behind. */
#define rcu_dereference_raw(p) \
	({ reference_burn(); reference_visit(POINT_LINK, &(p)); typeof(p) link__ = READ_ONCE(p); reference_visit(POINT_NODE, link__); link__; })
/* Kernel: publishes a pointer. Here: stores it. */
#define rcu_assign_pointer(p, v) WRITE_ONCE(p, v)
/* Kernel: orders loads between CPUs. Here: nothing, there is one. */
#define smp_rmb() barrier()
/* Kernel: orders after a control dependency. Here: nothing. */
#define smp_acquire__after_ctrl_dep() barrier()
/* Kernel: pins the task to its CPU. Here: counted. */
#define migrate_disable() ((void)(reference_sections += SECTION_MIGRATION))
/* Kernel: ends that. Here: counted. */
#define migrate_enable() ((void)(reference_sections -= SECTION_MIGRATION))
/* Kernel: no such thing. Here: how many sections are open, of each kind (enum section). */
static int reference_sections;
#ifdef CONFIG_SMP
/* Kernel: the CPU that runs this. Here: the Scenario's. */
#define raw_smp_processor_id() (reference_cpu)
#else
/* Kernel: the one CPU. Here: the same. */
#define raw_smp_processor_id() 0
#endif
/* Kernel: a branch that is patched into the code. Here: a plain test of the key. */
#define static_branch_unlikely(key) ((key)->enabled)
/* Kernel: a counter and a code patch. Here: a flag that the Scenario sets. */
struct static_key_false {
	int enabled;
};
/* Kernel: on as long as an sk_lookup program is attached anywhere. Here: as the Scenario says. */
static struct static_key_false bpf_sk_lookup_enabled;
/* Kernel: the CPU of the current task. Here: set for each case. */
static int reference_cpu;
/* Kernel: no such thing. Here: ends a walk that goes on for ever. */
static long reference_fuel;
/* Kernel: no such thing. Here: one step of a walk, and the end of the case at the last one. */
#define reference_burn() (--reference_fuel < 0 ? reference_stop(ENDED_STUCK) : (void)0)
