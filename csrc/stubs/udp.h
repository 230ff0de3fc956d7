/* Kernel: what the lookups of UDP and IPv6 come to beside sockets: routes, devices, members of multicast groups. */

/* Kernel: UDP's hash function of IPv6 with secrets of its own. Here: never the one asked for: TCP passes its own. */
static u32 udp6_ehashfn(const struct net *net, const struct in6_addr *laddr, const u16 lport, const struct in6_addr *faddr, const __be16 fport)
{
	reference_stop(ENDED_CRASHED);
	return 0;
}
/* Kernel: whether the route that a socket keeps still holds, or NULL. Here: it does. */
#define dst_check(dst, cookie) (dst)
/* Kernel: what a device has of IPv4, NULL for nothing. Here: something, into which nobody looks. */
#define __in_dev_get_rcu(dev) ((struct in_device *)(dev))
/* Kernel: whether a device is in a multicast group, with that source. Here: yes. */
#define ip_check_mc_rcu(in_dev, group, source, protocol) ((void)(in_dev), 1)
/* Kernel: whether a socket wants a multicast group's packets of a source. Here: yes. */
#define ip_mc_sf_allow(sk, group, source, dif, sdif) 1
/* Kernel: whether a multicast packet may have come from its source, 0 if so. Here: it may. */
#define ip_mc_validate_source(skb, daddr, saddr, tos, dev, in_dev, itag) ((void)(itag), 0)
/* Kernel: drops the reference that early demux took for a packet, before 6.9. Here: only its address is asked for. */
static void sock_efree(struct sk_buff *skb) { reference_stop(ENDED_CRASHED); }
