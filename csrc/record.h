/* The Scenario and Outcome records: the only declaration of what passes between Python and C.
 *
 * Read by the C compiler and by cffi. Ports are in host byte order. An address is 16 bytes of IPv6 as a packet has them,
 * an IPv4 one is mapped (::ffff:10.0.0.1), and zeros are no address of either; addresses come first in their records. An
 * index names a socket, a group or a namespace of the same record, NONE (-1) is no such thing. Python's Scenario has the
 * same fields in the same order.
 */
#define MAX_SOCKS 64
#define MAX_NETNS 2
#define MAX_PROGS 3
#define MAX_GROUPS 4
#define MAX_SLOTS 32
#define MAX_SHOWN 16
#define MAX_WARNS 4
#define MAX_STEPS 512
#define MAX_TABLE 131072
#define MAX_CROWD 100000
#define MAX_EDGES 8192
#define MAX_EVENTS 64
#define ADDRESS_BYTES 16

struct packet_record {
	uint8_t saddr[ADDRESS_BYTES];
	uint8_t daddr[ADDRESS_BYTES];
	uint16_t sport;
	uint16_t dport;
	int32_t rt_iif;
	int32_t skb_iif;
	int32_t sdif;
	uint32_t doff;		/* bytes of the TCP or UDP header, what the lookup is called with */
	uint32_t len;		/* skb->len, from that header on */
	uint32_t data_len;	/* how much of it is not in the linear part */
	uint32_t users;		/* skb->users: shared when it is not 1 */
	uint8_t clone_fails;	/* skb_clone() finds no memory */
	uint8_t pull_fails;	/* __pskb_pull_tail() finds no memory */
	uint8_t netns;		/* of the device of the packet's dst */
	uint8_t destructor;	/* enum destructor */
	uint8_t pkt_type;	/* enum pkt_type */
	int8_t sk;		/* skb->sk */
};

struct sock_record {
	uint8_t daddr[ADDRESS_BYTES];
	uint8_t rcv_saddr[ADDRESS_BYTES];
	uint32_t refcnt;
	int32_t bound_dev_if;
	int32_t incoming_cpu;	/* a mini socket's rcv_wnd lies at the same place */
	uint16_t dport;
	uint16_t num;
	uint16_t protocol;
	uint16_t hash_kind;	/* enum hash_kind */
	uint8_t kind;		/* enum kind */
	uint8_t family;
	uint8_t ipv6only;
	uint8_t state;
	uint8_t netns;
	uint8_t rcu_free;
	uint8_t reuseport;
	uint8_t reuseport_changed;	/* since listen() or UDP's bind(), which puts AF_INET6 sockets with it to the end of their chain */
	uint8_t hashed;		/* enum hashed */
	uint8_t hash2;		/* enum hash2, of a socket in UDP's tables */
	uint8_t mc_refuses;	/* wants no packets of the multicast group that this one goes to */
	uint8_t no_pprev;	/* in its chain, but already marked as unhashed */
	uint8_t syncookie;	/* of a request */
	int8_t group;		/* sk_reuseport_cb */
	int8_t listener;	/* rsk_listener of a request */
};

struct program_record {
	uint8_t verdict;	/* what an sk_lookup program returns */
	int8_t assign;		/* a socket for bpf_sk_assign(), NONE for its NULL, LEAVE for no call */
	uint8_t no_reuseport;	/* the flag of that call */
};

struct netns_record {
	uint32_t hash_mix;
	uint8_t tcp_l3mdev_accept;
	uint8_t udp_l3mdev_accept;
	uint8_t own_hashinfo;	/* tables of its own, or those that all namespaces share */
	uint8_t run_array;	/* whether there is an array of sk_lookup programs at all */
	uint8_t n_progs;
	struct program_record progs[MAX_PROGS];
};

struct group_record {
	uint32_t reuseport_id;
	uint32_t returns;	/* what a filter returns */
	uint16_t num_socks;
	uint16_t num_closed_socks;
	uint16_t incoming_cpu;
	uint8_t bind_inany;
	uint8_t has_conns;	/* a member of UDP has been connected */
	uint8_t prog;		/* enum prog */
	uint8_t cb_access;	/* whether a filter uses skb->cb */
	uint8_t verdict;	/* what an sk_reuseport program returns */
	int8_t select;		/* the socket that it selects */
	uint8_t n_slots;
	int8_t slots[MAX_SLOTS];
};

/* What another CPU does, once: at the nth visit of a point, counting only those that have to do with the socket `at`. */
struct event_record {
	int32_t value;		/* of the action: a device, a peer's port, a group from 1 on, a flag */
	uint8_t point;		/* enum point */
	uint8_t nth;		/* from 1 on */
	uint8_t action;		/* enum action */
	uint8_t steps;		/* how many of its steps are done by then, the others with the next event, or at the end; 0 for all */
	int8_t at;		/* NONE for any */
	int8_t sk;		/* to whom it happens */
	int8_t other;		/* who takes its place */
};

struct scenario_record {
	uint32_t hash_secret;
	uint32_t hash_secret6;	/* the second one of IPv6's hash */
	uint32_t ehash_size;	/* a power of two, like lhash2_size and udp_size */
	uint32_t lhash2_size;
	uint32_t udp_size;	/* of each of UDP's tables: hash, hash2, hash4 */
	uint32_t ehash_nulls_xor;	/* what is wrong with the end marks of ehash and hash4 */
	int32_t cpu;
	uint8_t lookup;		/* enum lookup */
	uint8_t caller;		/* enum caller */
	uint8_t hostile;
	uint8_t foreign_hashinfo;	/* the caller passes the tables of somebody else */
	uint8_t sk_lookup_enabled;	/* the static key */
	uint8_t n_netns;
	uint8_t n_groups;
	uint8_t n_socks;
	uint8_t n_events;
	struct packet_record packet;
	struct netns_record netns[MAX_NETNS];
	struct group_record groups[MAX_GROUPS];
	struct sock_record socks[MAX_SOCKS];
	struct event_record events[MAX_EVENTS];
};

struct shown_record {
	uint32_t program;	/* enum shown: what kind of program was run */
	int64_t args[14];	/* what it saw: outcome.py names them by kind; an address is two */
};

struct outcome_record {
	uint32_t ended;		/* enum ended */
	int32_t sk;		/* returned: a socket, NONE, or FOREIGN for a pointer that is no socket's */
	int32_t skb_sk;
	uint32_t refcounted;	/* the bool behind the pointer, UNSET as long as nobody wrote it */
	uint32_t destructor;
	int32_t skb_data;	/* skb->data, bytes after the TCP header's first */
	uint32_t skb_len;
	uint32_t skb_data_len;
	uint32_t skb_users;
	uint32_t skb_cb;	/* bytes of skb->cb that are not what they were */
	int32_t clones;		/* clones that nobody freed */
	uint64_t freed;		/* bit i: socket i was freed */
	uint64_t fired;		/* bit i: event i came about */
	int32_t sections;	/* sections that were opened and not closed, of each kind so many times enum section */
	int32_t signal;		/* that a crash came with */
	uint32_t n_warns;
	uint32_t n_shown;
	uint64_t freed_wrong;	/* bit i: it was freed as what it is not, or twice */
	uint32_t refcnt[MAX_SOCKS];
	int32_t listener[MAX_SOCKS];
	int32_t written[3];	/* enum written, which one, and the first byte in it that is not what it was */
	struct shown_record shown[MAX_SHOWN];
	char written_member[32];	/* the name of what stands there, if it has one */
	char warns[MAX_WARNS][96];	/* the functions that warned, with their texts */
};

struct step_record {
	uint32_t step;		/* of steps.toml, from 1 on; 0 for an event: its number, and whether it came about */
	int64_t values[3];
};

struct trace_record {
	uint32_t n_steps;
	struct step_record steps[MAX_STEPS];
};

enum { NONE = -1, LEAVE = -2, FOREIGN = -3, DROP = -4, UNSET = 2 };
enum lookup { LOOKUP_TCP4, LOOKUP_TCP6, LOOKUP_UDP4, LOOKUP_UDP6 };
/* Who asks: the receive path; UDP's early demux, and then the receive path; or a BPF helper, which has no sk_buff to show. */
enum caller { CALLER_RECEIVE, CALLER_DEMUX, CALLER_HELPER };
enum kind { KIND_FULL, KIND_REQUEST, KIND_TIMEWAIT };
enum hashed { HASHED_NOWHERE, HASHED_EHASH, HASHED_LHASH2, HASHED_UDP };
/* How a socket came into its chain of hash2: by bind(); by a rehash, when its address changed, which puts it to the head; or
 * it is still in that of the wildcard though it has an address by now: connect() has not come to the rehash yet.
 */
enum hash2 { HASH2_BOUND, HASH2_REHASHED, HASH2_STALE };
enum pkt_type { PKT_HOST, PKT_BROADCAST, PKT_MULTICAST };
enum hash_kind { HASH_OWN, HASH_WRONG, HASH_PACKET };
/* Where another CPU can get between: before the lookup reads a link of a chain, of a socket or of a bucket; when it has read
 * one, and nothing yet of the socket that this leads to; before it takes a reference, and when it has it; when it has read
 * how many members a group has; before and behind a BPF program.
 */
enum point { POINT_LINK, POINT_NODE, POINT_TAKING, POINT_TAKEN, POINT_MEMBERS, POINT_PROGRAM, POINT_RAN };
/* What it does there. `sk` leaves its group, its chain, and loses a reference; it leaves its chain, loses all references, and its memory
 * becomes the connection from the peer's port `value`; it leaves ehash, and listens; it comes, into its group and then its chain, where it
 * was not before; `other`, which was nowhere before, takes its place; it is bound to the device `value`; its namespace's
 * l3mdev_accept of the packet's protocol becomes `value`; the group of number `value` loses its program; nothing, but that what
 * was begun goes on; the group of number `value` gets a program, which selects `sk`; the packet's namespace has its sk_lookup
 * programs, or has them no more, by `value`. Of UDP: it is connected to the packet's sender, at the port `value`; it is
 * disconnected; it is disconnected, and bound to the port `value`.
 */
enum action {
	ACTION_LEAVES, ACTION_REUSED, ACTION_LISTENS, ACTION_COMES, ACTION_REPLACED, ACTION_REBOUND, ACTION_SYSCTL, ACTION_DETACHED,
	ACTION_GOES_ON, ACTION_ATTACHED, ACTION_SK_LOOKUP, ACTION_CONNECTS, ACTION_DISCONNECTS, ACTION_MOVES
};
enum destructor { DESTRUCTOR_NONE, DESTRUCTOR_PFREE, DESTRUCTOR_EDEMUX, DESTRUCTOR_OTHER, DESTRUCTOR_EFREE };
enum prog { PROG_NONE, PROG_FILTER, PROG_SK_REUSEPORT };
enum shown { SHOWN_SK_LOOKUP = 1, SHOWN_FILTER, SHOWN_SK_REUSEPORT };
/* What the lookup changed and has no name of its own here; WRITTEN_EHASH, WRITTEN_LHASH2 and UDP's: the shared tables, and
 * one more for a namespace's own.
 */
enum written {
	WRITTEN_NOTHING, WRITTEN_SOCK, WRITTEN_GROUP, WRITTEN_PROGRAM, WRITTEN_NETNS, WRITTEN_DEVICE, WRITTEN_ROUTE, WRITTEN_PACKET,
	WRITTEN_DATA, WRITTEN_TABLE, WRITTEN_EHASH, WRITTEN_OWN_EHASH, WRITTEN_LHASH2, WRITTEN_OWN_LHASH2, WRITTEN_KERNEL,
	WRITTEN_CHAIN, WRITTEN_MEMBERS,	/* before the lookup, by what put a socket into its chain, or its group */
	WRITTEN_UDP_TABLE, WRITTEN_UDP_HASH, WRITTEN_OWN_UDP_HASH, WRITTEN_UDP_HASH2, WRITTEN_OWN_UDP_HASH2,
	WRITTEN_UDP_HASH4, WRITTEN_OWN_UDP_HASH4
};
/* ENDED_BROKEN: the driver crashed, not the kernel's text. ENDED_ABSENT: there is no such lookup here. */
enum ended { ENDED_RETURNED, ENDED_STUCK, ENDED_CRASHED, ENDED_BROKEN, ENDED_ABSENT };
/* What a section counts for: so much apart that the end of one is not taken for the end of another. */
enum section { SECTION_RCU = 1, SECTION_MIGRATION = 0x100, SECTION_LOCK = 0x10000 };
/* When reference_plant() changes a byte: before the kernel's function runs, behind it, or only while it is checked where the
 * kernel has put sockets.
 */
enum planted { PLANTED_NEVER, PLANTED_BEFORE, PLANTED_BEHIND, PLANTED_IN_TABLES };

int reference_call(const struct scenario_record *scenario, struct outcome_record *outcome);
void reference_guard(void);
uint32_t reference_mutate(uint32_t mutant);
uint32_t reference_plant(uint32_t at, uint32_t when);
void reference_trace(struct trace_record *trace);
uint32_t reference_lookups(void);
uint32_t reference_edges(uint32_t *taken, uint32_t *n_taken);
double reference_crowded(const struct scenario_record *scenario, struct outcome_record *outcome, uint32_t crowd,
			 uint32_t repeat);
