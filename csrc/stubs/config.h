/* Kernel: the user's .config. Here: without these there is no lookup to ask; the build defines the others as it was
 * asked to (harness/skdiff/variants/config.py). */
#define CONFIG_INET 1
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_64BIT 1
#define __KERNEL__ 1
/* Kernel: libc-compat.h, which gives way to libc's headers. Here: none is included. */
#define __UAPI_DEF_IN_IPPROTO 1
/* Kernel: libc-compat.h again. Here: the same. */
#define __UAPI_DEF_IN6_ADDR 1
/* Kernel: libc-compat.h again: an IPv6 address as numbers of 16 and 32 bits, too. Here: the same. */
#define __UAPI_DEF_IN6_ADDR_ALT 1
/* Kernel: libc-compat.h again. Here: the same. */
#define __UAPI_DEF_IN_CLASS 1
