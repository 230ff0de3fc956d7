/* Kernel: net/core/skbuff.c, memory of packets. Here: one sk_buff and one clone per case, no allocator. */

/* Kernel: allocation flags. Here: nothing is allocated. */
typedef unsigned int gfp_t;
/* Kernel: may not sleep. Here: any value. */
#define GFP_ATOMIC 0
/* Kernel: a copy of the head that shares the data, or NULL without memory. Here: the one clone, or NULL as the Scenario says. */
static struct sk_buff *skb_clone(struct sk_buff *skb, gfp_t priority)
{
	return reference_clone(skb);
}
/* Kernel: drops a user of a packet that was lost; NULL is fine. Here: counts the clone back. */
static void kfree_skb(struct sk_buff *skb)
{
	reference_free_clone(skb);
}
/* Kernel: drops a user of a packet that was used; NULL is fine. Here: counts the clone back. */
static void consume_skb(struct sk_buff *skb)
{
	reference_free_clone(skb);
}
/* Kernel: moves bytes from the pages to the linear part, NULL without memory. Here: moves the numbers. */
static void *__pskb_pull_tail(struct sk_buff *skb, int delta)
{
	if (reference_pull_fails || delta > (int)skb->data_len)
		return NULL;
	skb->data_len -= delta;
	return skb->data;
}
/* Kernel: the Scenario's say over memory. Here: set for each case. */
static int reference_pull_fails;
/* Kernel: frees or un-references the socket of an assigned packet. Here: only its address is asked for. */
static void sock_pfree(struct sk_buff *skb) { reference_stop(ENDED_CRASHED); }
