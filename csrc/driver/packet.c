/* The packet: an sk_buff with its header, its route, and the socket that may hang on it. */

static void fill_packet(void)
{
	static void (*const destructors[])(struct sk_buff *) = {
		[DESTRUCTOR_PFREE] = sock_pfree, [DESTRUCTOR_EDEMUX] = sock_edemux, [DESTRUCTOR_OTHER] = other_destructor,
	};
	const struct packet_record *from = &in->packet;
	struct sk_buff *skb = &arena.skb;
	struct iphdr *iph = (struct iphdr *)(arena.data + HEADROOM - sizeof(struct iphdr));

	__builtin_memset(skb, UNSET_BYTE, sizeof(*skb));
	__builtin_memset(skb->cb, POISON, sizeof(skb->cb));
	__builtin_memset(arena.data, UNSET_BYTE, sizeof(arena.data));
	iph->saddr = htonl(from->saddr);
	iph->daddr = htonl(from->daddr);
	skb->head = arena.data;
	skb->data = arena.data + HEADROOM;
	skb->network_header = (unsigned char *)iph - arena.data;
	skb->len = from->len;
	skb->data_len = from->data_len;
	skb->skb_iif = from->skb_iif;
	refcount_set(&skb->users, from->users);
	skb->sk = sock_at(from->sk);
	skb->destructor = destructors[from->destructor];
	__builtin_memset(&arena.route, UNSET_BYTE, sizeof(arena.route));
	arena.route.dst.dev = &arena.devices[from->netns];
	arena.route.rt_iif = from->rt_iif;
	skb->_skb_refdst = (unsigned long)&arena.route.dst | SKB_DST_NOREF;
}
