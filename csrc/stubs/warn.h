/* Kernel: a message with a stack trace, then on it goes. Here: the name of the function goes into the Outcome. */

/* Kernel: warns once per boot. Here: once per case, the boot of this userspace. */
#define WARN_ON_ONCE(condition) reference_warned(condition, "")
/* Kernel: warns each time. Here: once per case, and said to be one of these. */
#define WARN_ON(condition) reference_warned(condition, "each time")
/* Kernel: warns once per boot, with a text. Here: once per case, with the text as it stands. */
#define WARN_ONCE(condition, format...) reference_warned(condition, reference_first(format, ""))
/* Kernel: warns where CONFIG_DEBUG_NET is on. Here: never, distributions have it off. */
#define DEBUG_NET_WARN_ON_ONCE(condition) ((void)sizeof((long)(condition)))
/* Kernel: no such thing. Here: what a warning is worth: whether it was one. */
#define reference_warned(condition, text) ({ int warns__ = !!(condition); if (warns__) reference_warn(__func__, text); warns__; })
/* Kernel: no such thing. Here: the format alone, without what goes into it. */
#define reference_first(format, rest...) format
/* Kernel: an oops. Here: the case ends as crashed. */
#define BUG() reference_stop(ENDED_CRASHED)
/* Kernel: a compile-time check. Here: nothing, the slices of the structs have other sizes. */
#define BUILD_BUG_ON(condition) ((void)0)
