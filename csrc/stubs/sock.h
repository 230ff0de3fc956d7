/* Kernel: the ends of sockets, random numbers and the running of BPF programs. */

/* Kernel: the first network namespace, and the only one without CONFIG_NET_NS. Here: the same, that of the packet. */
static struct net init_net;
/* Kernel: frees a full socket. Here: noted. */
static void sk_free(struct sock *sk) { reference_freed(sk, KIND_FULL); }
/* Kernel: frees a timewait socket. Here: noted. */
static void inet_twsk_free(struct inet_timewait_sock *tw) { reference_freed((struct sock *)tw, KIND_TIMEWAIT); }
/* Kernel: frees a request. Here: noted. */
static void reqsk_free(struct request_sock *req) { reference_freed((struct sock *)req, KIND_REQUEST); }
/* Kernel: random bytes, the first time. Here: one of the Scenario's two secrets by the name of the object, each time. */
#define net_get_random_once(buf, nbytes) __builtin_memcpy(buf, reference_secret_of(#buf), nbytes)
/* Kernel: no such thing. Here: the secret that an object of this name has. */
#define reference_secret_of(name) (__builtin_strstr(name, "ipv6_hash_secret") ? &reference_secret6 : &reference_secret)
/* Kernel: the boot's random number. Here: the Scenario's. */
static u32 reference_secret;
/* Kernel: another one, for the addresses of IPv6 peers. Here: the Scenario's. */
static u32 reference_secret6;
/* Kernel: net/core/hotdata.c, what is read for each packet. Here: the part that the lookup reads. */
static struct net_hotdata net_hotdata;
/* Kernel: runs the program's code. Here: does to the context what the Scenario says, and keeps what was shown. */
#define bpf_prog_run(prog, ctx) reference_run_program(prog, ctx)
