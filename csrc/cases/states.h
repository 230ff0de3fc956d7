/* What the rules of normalise.c have in common: numbers of the kernel that record.h has no names for, and small helpers. */
#include <netinet/tcp.h>

#define TCP_NEW_SYN_RECV 12	/* include/net/tcp_states.h */

enum { SK_DROP, SK_PASS };	/* include/uapi/linux/bpf.h enum sk_action */

static inline unsigned int mini_state(unsigned int kind)
{
	return kind == KIND_REQUEST ? TCP_NEW_SYN_RECV : TCP_TIME_WAIT;
}

static inline int modulo(int number, int count)
{
	int rest = number % count;

	return rest < 0 ? rest + count : rest;
}

static inline bool holds(const int8_t *numbers, unsigned int count, int number)
{
	for (unsigned int i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

static inline bool same_places(const struct place *places, const struct sock_record *one, const struct sock_record *other)
{
	for (; places->size; places++)
		if (memcmp((const char *)one + places->offset, (const char *)other + places->offset, places->size))
			return false;
	return true;
}

static inline void with_port(struct sock_record *sock)
{
	if (!sock->num)
		sock->num = plain.port;
}

/* A socket has addresses of its family; a listener on one of IPv6 is ipv6only, as bind() makes it. */
static inline void fit_family(struct sock_record *sock)
{
	if (sock->family != AF_INET6) {
		as_ipv4(sock->daddr);
		as_ipv4(sock->rcv_saddr);
	} else if (sock->hashed == HASHED_LHASH2 && is_ipv6(sock->rcv_saddr)) {
		sock->ipv6only = 1;
	}
}
