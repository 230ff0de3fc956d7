/* A drawn packet as a system can receive one: the part of normalise.c that is about the packet alone. */

#define LOOPBACK_IFINDEX 1	/* net/core/dev.c: in each namespace */
#define A_DEVICE 2		/* the first that is not lo */

static unsigned int pkt_type_of(bool ipv6, const uint8_t *daddr)
{
	if (is_multicast(ipv6, daddr))
		return PKT_MULTICAST;
	return !ipv6 && is_broadcast(daddr) ? PKT_BROADCAST : PKT_HOST;
}

/* Whether a packet from another host comes as far as a lookup: derived.py is_routed() names the kernel's functions. */
static bool is_routed(bool ipv6, const uint8_t *saddr, const uint8_t *daddr)
{
	uint32_t from = low_word(saddr), to = low_word(daddr);

	if (is_multicast(ipv6, saddr))
		return false;
	if (ipv6) {
		if (same_address(saddr, loopback6) || same_address(daddr, loopback6) || is_any(daddr))
			return false;
		return daddr[0] != 0xff || (daddr[1] & 0xf) > 1;	/* a group has a scope beyond this host */
	}
	if (is_broadcast(saddr))
		return false;
	if (is_broadcast(daddr) || (!from && !to))
		return true;
	return to >> 24 && (from >> 24 || to >> 8 == 0xe00000);	/* from 0.0.0.0/8 to everybody here, 224.0.0.0/24 */
}

/* Devices and addresses with which a real packet comes in. */
void come_in(struct packet_record *p, unsigned int lookup, unsigned int caller)
{
	bool udp = is_udp_lookup(lookup), ipv6 = is_ipv6_lookup(lookup);
	uint8_t here[ADDRESS_BYTES];

	if (caller == CALLER_HELPER) {
		p->rt_iif = 0;
		p->skb_iif = p->skb_iif > 0 ? p->skb_iif : 0;
		p->sdif = p->sdif > LOOPBACK_IFINDEX ? p->sdif : 0;
		p->pkt_type = PKT_HOST;
		return;
	}
	if (p->skb_iif <= 0)
		p->skb_iif = LOOPBACK_IFINDEX;
	if (p->rt_iif < 0)
		p->rt_iif = 0;
	if (p->sdif <= LOOPBACK_IFINDEX) {
		p->sdif = 0;
		if (p->rt_iif)
			p->skb_iif = LOOPBACK_IFINDEX;
	} else {
		if (p->skb_iif == LOOPBACK_IFINDEX)
			p->skb_iif = A_DEVICE;
		if (p->rt_iif)
			p->sdif = p->skb_iif;
	}
	set_plain(here, plain.here, ipv6);
	if (udp && caller != CALLER_DEMUX && p->sk == NONE && pkt_type_of(ipv6, p->daddr) != PKT_HOST)
		set_address(p->daddr, here);
	if (p->skb_iif != (p->sdif ? p->sdif : LOOPBACK_IFINDEX) && !is_routed(ipv6, p->saddr, p->daddr)) {
		if (!is_routed(ipv6, p->saddr, here))
			set_plain(p->saddr, plain.peer, ipv6);
		if (!is_routed(ipv6, p->saddr, p->daddr))
			set_address(p->daddr, here);
	}
	p->pkt_type = udp ? pkt_type_of(ipv6, p->daddr) : PKT_HOST;
}

/* A packet that is whole, unshared, and came in as a real one. */
static void reachable_packet(struct packet_record *p, unsigned int lookup, unsigned int caller)
{
	bool udp = is_udp_lookup(lookup), ipv6 = is_ipv6_lookup(lookup);
	uint32_t header;

	p->users = 1;
	p->clone_fails = p->pull_fails = 0;
	if (caller == CALLER_DEMUX && p->pkt_type == PKT_MULTICAST && pkt_type_of(ipv6, p->daddr) == PKT_HOST)
		set_address(p->daddr, ipv6 ? plain.many6 : plain.many);
	come_in(p, lookup, caller);
	if (caller == CALLER_HELPER) {
		p->len = plain.len;
		p->data_len = plain.data_len;
		p->doff = udp ? p->doff : plain.doff;
		return;
	}
	if (!udp)
		p->doff = p->doff < 20 ? 20 : p->doff & ~3;
	if (p->len < p->doff || p->len > plain.most_bytes)
		p->len = 60;
	header = caller == CALLER_DEMUX && p->sk == NONE ? 0 : p->doff;	/* else early demux pulls it itself */
	if (p->data_len > p->len - header)
		p->data_len = 0;
}
