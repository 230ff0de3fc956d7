/* Kernel: the user's .config. Here: what a distribution's kernel has on and the lookup asks for. */
#define CONFIG_INET 1
#define CONFIG_IPV6 1
#define CONFIG_NET_L3_MASTER_DEV 1
#define CONFIG_NET_NS 1
#define CONFIG_SYN_COOKIES 1
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_SMP 1
#define CONFIG_64BIT 1
#define CONFIG_SOCK_RX_QUEUE_MAPPING 1
#define __KERNEL__ 1
/* Kernel: libc-compat.h, which gives way to libc's headers. Here: none is included. */
#define __UAPI_DEF_IN_IPPROTO 1
/* Kernel: libc-compat.h again. Here: the same. */
#define __UAPI_DEF_IN6_ADDR 1
/* Kernel: libc-compat.h again. Here: the same. */
#define __UAPI_DEF_IN_CLASS 1
