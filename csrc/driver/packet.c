/* The packet: an sk_buff with its header, its route, and the socket that may hang on it. */

/* skb->cb as it comes in. */
static char cb_before[sizeof(((struct sk_buff *)0)->cb)];

static void fill_ipv4_header(struct sk_buff *skb, const struct packet_record *from)
{
	struct iphdr *iph = (struct iphdr *)(arena.data + HEADROOM - sizeof(struct iphdr));

	iph->saddr = low_word(from->saddr);
	iph->daddr = low_word(from->daddr);
	iph->tos = 0;
	iph->protocol = is_udp() ? IPPROTO_UDP : IPPROTO_TCP;
	skb->network_header = (unsigned char *)iph - arena.data;
	if (is_udp()) {	/* what ip_rcv_core() and vrf_ip_rcv() leave in skb->cb; TCP's lookup is told */
		IPCB(skb)->iif = from->sdif ? from->sdif : from->skb_iif;
		IPCB(skb)->flags &= ~IPSKB_L3SLAVE;
		if (from->sdif)
			IPCB(skb)->flags |= IPSKB_L3SLAVE;
	}
}

/* What ip6_rcv_core() and vrf_ip6_rcv() leave in skb->cb: the device, and whether it is below an L3 master. */
static void fill_ipv6_header(struct sk_buff *skb, const struct packet_record *from)
{
#ifdef HAVE_TCP6
	struct ipv6hdr *iph = (struct ipv6hdr *)(arena.data + HEADROOM - sizeof(struct ipv6hdr));

	__builtin_memcpy(&iph->saddr, from->saddr, sizeof(iph->saddr));
	__builtin_memcpy(&iph->daddr, from->daddr, sizeof(iph->daddr));
	skb->network_header = (unsigned char *)iph - arena.data;
	IP6CB(skb)->iif = from->sdif ? from->sdif : from->rt_iif ? from->rt_iif : from->skb_iif;
	IP6CB(skb)->flags &= ~IP6SKB_L3SLAVE;
	if (from->sdif)
		IP6CB(skb)->flags |= IP6SKB_L3SLAVE;
#endif
}

static void fill_udp_header(struct sk_buff *skb, const struct packet_record *from)
{
	struct udphdr *uh = (struct udphdr *)skb->data;

	uh->source = htons(from->sport);
	uh->dest = htons(from->dport);
	skb->transport_header = skb->data - arena.data;
}

static void fill_packet(void)
{
	static void (*const destructors[])(struct sk_buff *) = {
		[DESTRUCTOR_PFREE] = sock_pfree, [DESTRUCTOR_EDEMUX] = sock_edemux, [DESTRUCTOR_OTHER] = other_destructor,
		[DESTRUCTOR_EFREE] = sock_efree,
	};
	const struct packet_record *from = &in->packet;
	struct sk_buff *skb = &arena.skb;

	__builtin_memset(skb, UNSET_BYTE, sizeof(*skb));
	__builtin_memset(skb->cb, POISON, sizeof(skb->cb));
	__builtin_memset(arena.data, UNSET_BYTE, sizeof(arena.data));
	skb->head = arena.data;
	skb->data = arena.data + HEADROOM;
	if (is_ipv6())
		fill_ipv6_header(skb, from);
	else
		fill_ipv4_header(skb, from);
	if (is_udp())
		fill_udp_header(skb, from);
	__builtin_memcpy(cb_before, skb->cb, sizeof(cb_before));
	skb->dev = &arena.devices[from->netns];
	skb->pkt_type = from->pkt_type;
	skb->slow_gro = 1;	/* it has a route */
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
