/* Kernel: what the lookups of UDP and IPv6 come to beside sockets: routes, devices, members of multicast groups; and what goes with UDP's bind(). */

/* Kernel: whether the route that a socket keeps still holds, or NULL. Here: it does. */
#define dst_check(dst, cookie) (dst)
/* Kernel: what a device has of IPv4, NULL for nothing. Here: something, into which nobody looks. */
#define __in_dev_get_rcu(dev) ((struct in_device *)(dev))
/* Kernel: whether a device is in a multicast group, with that source. Here: it is in the packet's, if that is one. */
#define ip_check_mc_rcu(in_dev, group, source, protocol) ((void)(in_dev), (protocol) == IPPROTO_UDP && reference_mc_has(group, source))
/* Kernel: whether a socket wants a multicast group's packets of a source. Here: as the Scenario says, of the packet alone. */
#define ip_mc_sf_allow(sk, group, source, dif, sdif) reference_mc_allows(sk, group, source, dif, sdif)
/* Kernel: whether a multicast packet may have come from its source, 0 if so. Here: the packet itself may. */
#define ip_mc_validate_source(packet, group, source, tos, device, in_dev, itag) \
	(reference_mc_refuses((unsigned long)(packet), (unsigned long)(group), (unsigned long)(source), (unsigned long)(tos), \
			      (unsigned long)(device), (unsigned long)(in_dev)) || *(const u32 *)(itag))
/* Kernel: drops the reference that early demux took for a packet, before 6.9. Here: only its address is asked for. */
static void sock_efree(struct sk_buff *skb) { reference_stop(ENDED_CRASHED); }
/* Kernel: whether a socket that may not share a port has it already, in the chain of the port. Here: nobody refuses. */
#define udp_lib_lport_inuse(net, num, hslot, bitmap, sk, log) 0
/* Kernel: the same in the chain of port and address. Here: nobody refuses. */
#define udp_lib_lport_inuse2(net, num, hslot2, sk) 0
/* Kernel: finds the socket's group, or makes one. Here: groups are as the Scenario says. */
#define udp_reuseport_add_sock(sk, hslot) 0
/* Kernel: the ports that a socket may get without asking for one. Here: never asked for: all have one. */
#define inet_sk_get_local_port_range(sk, low, high) ((void)(*(low) = *(high) = 0))
/* Kernel: the same, of a namespace. Here: the same. */
#define inet_get_local_port_range(net, low, high) ((void)(*(low) = *(high) = 0))
/* Kernel: whether a port is kept back. Here: never asked for. */
#define inet_is_local_reserved_port(net, port) 0
/* Kernel: dissolves a connection: state, peer, device, and the address that connect() gave. Here: the driver does, store by store. */
#define __udp_disconnect(sk, flags) reference_disconnect(sk)
/* Kernel: a random number. Here: never asked for. */
#define get_random_u32() 0
/* Kernel: clears a bitmap. Here: never done. */
#define bitmap_zero(map, bits) ((void)(map))
/* Kernel: lets others run. Here: nothing. */
#define cond_resched() ((void)0)
/* Kernel: an array of so many bits. Here: a word that nobody uses. */
#define DECLARE_BITMAP(name, bits) unsigned long name[1]
