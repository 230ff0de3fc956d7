/* What the lookup left behind: the socket, the sk_buff, counts and listeners, and what programs were shown. */

static int destructor_of(const struct sk_buff *skb)
{
	return !skb->destructor ? DESTRUCTOR_NONE :
		skb->destructor == sock_pfree ? DESTRUCTOR_PFREE :
		skb->destructor == sock_edemux ? DESTRUCTOR_EDEMUX :
		skb->destructor == sock_efree ? DESTRUCTOR_EFREE :
		skb->destructor == other_destructor ? DESTRUCTOR_OTHER : FOREIGN;
}

static int data_offset(const struct sk_buff *skb)
{
	return skb->data - arena.data - HEADROOM;
}

/* How many bytes of a packet that a program saw are not those that came in, besides what the Outcome tells by name. */
static int other_bytes(const struct sk_buff *seen)
{
	struct sk_buff one = *seen;
	const unsigned char *now = (const unsigned char *)&one, *before = (const unsigned char *)&kept.skb;
	int count = 0;

	one.sk = kept.skb.sk;
	one.destructor = kept.skb.destructor;
	one.data = kept.skb.data;
	one.len = kept.skb.len;
	one.data_len = kept.skb.data_len;
	one.users = kept.skb.users;
	__builtin_memcpy(one.cb, kept.skb.cb, sizeof(one.cb));
	for (size_t i = 0; i < sizeof(one); i++)
		count += now[i] != before[i];
	return count;
}

/* An address that a program saw, in two numbers: of IPv6 if there is one, else of IPv4. */
static void show_address(int64_t *args, const struct in6_addr *ipv6, __be32 ipv4)
{
	unsigned char bytes[ADDRESS_BYTES] = {};

	if (ipv6)
		__builtin_memcpy(bytes, ipv6, sizeof(bytes));
	else if (ipv4) {
		bytes[10] = bytes[11] = 0xff;
		__builtin_memcpy(bytes + 12, &ipv4, sizeof(ipv4));
	}
	args[0] = half_of(bytes, 0);
	args[1] = half_of(bytes, 1);
}

static void read_seen(const struct glimpse *seen, struct shown_record *shown)
{
	const struct bpf_sk_lookup_kern *lookup = &seen->lookup;
	const struct sk_reuseport_kern *reuse = &seen->selection;
	int64_t *args = shown->args;
	bool ipv6;

	if (seen->any->run == run_sk_lookup) {
		shown->program = SHOWN_SK_LOOKUP;
		args[0] = seen->any->netns;
		args[1] = seen->any->number;
		args[2] = lookup->family;
		args[3] = lookup->protocol;
		show_address(args + 4, lookup->v6.saddr, lookup->v4.saddr);
		args[6] = ntohs(lookup->sport);
		show_address(args + 7, lookup->v6.daddr, lookup->v4.daddr);
		args[9] = lookup->dport;
		args[10] = (int)lookup->ingress_ifindex;
		args[11] = index_of(lookup->selected_sk);
		args[12] = lookup->no_reuseport;
		ipv6 = lookup->v6.saddr || lookup->v6.daddr;
		args[13] = ipv6 + 2 * (ipv6 && (lookup->v4.saddr || lookup->v4.daddr));
	} else if (seen->any->run == run_filter) {
		shown->program = SHOWN_FILTER;
		args[0] = seen->any->number;
		args[1] = seen->clone;
		args[2] = data_offset(&seen->skb);
		args[3] = seen->skb.len;
		args[4] = seen->skb.data_len;
		args[5] = 0;
		args[6] = other_bytes(&seen->skb);
		for (unsigned int i = 0; i < sizeof(seen->skb.cb); i++) {
			args[5] += seen->skb.cb[i] == cb_before[i];
			args[6] += seen->skb.cb[i] != cb_before[i] && seen->skb.cb[i];
		}
	} else {
		shown->program = SHOWN_SK_REUSEPORT;
		args[0] = seen->any->number;
		args[1] = index_of(reuse->sk);
		args[2] = reuse->hash;
		args[3] = reuse->reuseport_id;
		args[4] = reuse->bind_inany;
		args[5] = index_of(reuse->selected_sk);
		args[6] = index_of(reuse->migrating_sk);
		args[7] = reuse->skb == &arena.skb;
		args[8] = (unsigned char *)reuse->data_end - (arena.data + HEADROOM);
	}
}

static void read_outcome(const struct sock *sk)
{
	const struct sk_buff *skb = &arena.skb;

	note_written();
	out->sk = index_of(sk);
	out->skb_sk = index_of(skb->sk);
	out->destructor = destructor_of(skb);
	out->skb_data = data_offset(skb);
	out->skb_len = skb->len;
	out->skb_data_len = skb->data_len;
	out->skb_users = refcount_read(&skb->users);
	out->clones = reference_clones;
	out->sections = reference_sections;
	out->skb_cb = 0;
	for (unsigned int i = 0; i < sizeof(skb->cb); i++)
		out->skb_cb += skb->cb[i] != cb_before[i];
	for (unsigned int i = 0; i < out->n_shown; i++)
		read_seen(&seen[i], &out->shown[i]);
	for (int i = 0; i < in->n_socks; i++) {
		out->refcnt[i] = refcount_read(&arena.socks[i].sk.sk_refcnt);
		out->listener[i] = in->socks[i].kind == KIND_REQUEST && !(out->freed & 1ull << i) ?
			index_of(arena.socks[i].req.rsk_listener) : NONE;
	}
}
