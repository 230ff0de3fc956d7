/* Addresses as a record has them: cases/addresses.py and derived.py say the same of Python's ints. */

enum { ANY_ADDRESS, MAPPED_ADDRESS, IPV6_ADDRESS };

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };
/* Of what stands for an IPv4 address in IPv6, and back: 2001:db8:1:2:3:4::/96. */
static const uint8_t image_prefix[12] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4 };
static const uint8_t loopback6[ADDRESS_BYTES] = { [15] = 1 };

static inline uint32_t low_word(const uint8_t *address)
{
	return (uint32_t)address[12] << 24 | address[13] << 16 | address[14] << 8 | address[15];
}

static inline bool same_address(const uint8_t *one, const uint8_t *other)
{
	return !memcmp(one, other, ADDRESS_BYTES);
}

static inline void set_address(uint8_t *address, const uint8_t *value)
{
	memmove(address, value, ADDRESS_BYTES);
}

static inline void no_address(uint8_t *address)
{
	memset(address, 0, ADDRESS_BYTES);
}

static inline bool is_any(const uint8_t *address)
{
	static const uint8_t any[ADDRESS_BYTES];

	return same_address(address, any);
}

static inline bool is_mapped(const uint8_t *address)
{
	return !memcmp(address, mapped_prefix, sizeof(mapped_prefix));
}

/* :: or ::ffff:0.0.0.0: both are 0.0.0.0 where IPv4 looks at them. */
static inline bool is_wildcard(const uint8_t *address)
{
	return is_any(address) || (is_mapped(address) && !low_word(address));
}

static inline bool is_ipv6(const uint8_t *address)
{
	return !is_mapped(address) && !is_any(address);
}

/* The nearest address that IPv4 has: itself, or its last four bytes, mapped. */
static inline void as_ipv4(uint8_t *address)
{
	if (low_word(address))
		memcpy(address, mapped_prefix, sizeof(mapped_prefix));
	else
		no_address(address);
}

/* The address of the other family that stands for this one. What has none stays. */
static inline void to_other_family(uint8_t *address)
{
	if (!low_word(address))
		return;
	if (is_mapped(address))
		memcpy(address, image_prefix, sizeof(image_prefix));
	else if (!memcmp(address, image_prefix, sizeof(image_prefix)))
		memcpy(address, mapped_prefix, sizeof(mapped_prefix));
}

static inline bool is_ipv6_lookup(unsigned int lookup)
{
	return lookup == LOOKUP_TCP6 || lookup == LOOKUP_UDP6;
}

static inline bool is_udp_lookup(unsigned int lookup)
{
	return lookup == LOOKUP_UDP4 || lookup == LOOKUP_UDP6;
}

/* An address of the pools in the family that is wanted. */
static inline void set_plain(uint8_t *address, const uint8_t *value, bool ipv6)
{
	set_address(address, value);
	if (ipv6)
		to_other_family(address);
}

static inline bool is_multicast(bool ipv6, const uint8_t *address)
{
	return ipv6 ? address[0] == 0xff : low_word(address) >> 28 == 0xe;
}

static inline bool is_broadcast(const uint8_t *address)
{
	return low_word(address) == 0xffffffff;
}

/* Multicast or broadcast, of its own family: no host has it. */
static inline bool is_for_many(const uint8_t *address)
{
	bool ipv6 = is_ipv6(address);

	return is_multicast(ipv6, address) || (!ipv6 && is_broadcast(address));
}
