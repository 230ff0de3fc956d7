/* Kernel: net/core/skbuff.c, memory of packets. Here: one sk_buff and one clone per case, no allocator. */

/* Kernel: allocation flags. Here: nothing is allocated. */
typedef unsigned int gfp_t;
/* Kernel: may not sleep. Here: any value. */
#define GFP_ATOMIC 0
/* Kernel: a copy of the head that shares the data, or NULL without memory. Here: the one clone, or NULL as the Scenario says. */
#define skb_clone(skb, priority) ((void)(priority), reference_clone_fails ? NULL : (reference_clones++, reference_clone = *(skb), &reference_clone))
/* Kernel: drops a user of a packet that was lost; NULL is fine. Here: counts a clone back, or a user of the packet. */
#define kfree_skb(skb) reference_put_skb(skb)
/* Kernel: drops a user of a packet that was used; NULL is fine. Here: the same as for one that was lost. */
#define consume_skb(skb) kfree_skb(skb)
/* Kernel: moves bytes from the pages to the linear part, NULL without memory. Here: moves the numbers. */
#define __pskb_pull_tail(skb, delta) (reference_pull_fails ? NULL : ((skb)->data_len -= (delta), (skb)->data))
/* Kernel: no such thing. Here: the one clone of a case. */
static struct sk_buff reference_clone;
/* Kernel: no such thing. Here: how many clones are out. */
static int reference_clones;
/* Kernel: no such thing. Here: one user less: of the clone, which is poisoned, or of the packet, of which the Outcome tells. */
static void reference_put_skb(struct sk_buff *skb)
{
	if (skb == &reference_clone) {
		reference_clones--;
		__builtin_memset(skb, POISON, sizeof(*skb));
	} else if (skb)
		skb->users.refs.counter--;
}
/* Kernel: finds memory or not. Here: as the Scenario says. */
static int reference_pull_fails;
/* Kernel: finds memory or not. Here: as the Scenario says. */
static int reference_clone_fails;
/* Kernel: frees or un-references the socket of an assigned packet. Here: only its address is asked for. */
static void sock_pfree(struct sk_buff *skb) { reference_stop(ENDED_CRASHED); }
/* Kernel: what skb_orphan() calls. Here: only its address is asked for. */
static void other_destructor(struct sk_buff *skb) { reference_stop(ENDED_CRASHED); }
