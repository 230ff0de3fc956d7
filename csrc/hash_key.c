/* Which start values of lookup3 put given words into given ranges: the key that a running kernel hashes with, from the
 * choices that it made. harness/skdiff/oracles/running/hash_key.py calls it.
 */
#include <stdint.h>
#include <string.h>

struct observation {
	uint32_t words[3]; /* what is hashed */
	uint32_t added;    /* to the hash */
	uint32_t low, high; /* where the sum lies, both ends included */
};

static inline uint32_t rotated(uint32_t word, int bits)
{
	return word << bits | word >> (32 - bits);
}

static inline uint32_t hash_of(const uint32_t *words, uint32_t start)
{
	static const int bits[2][3] = { { 14, 11, 25 }, { 16, 4, 14 } };
	uint32_t a = words[0] + start, b = words[1] + start, c = words[2] + start;

	for (int round = 0; round < 2; round++) {
		c = (c ^ b) - rotated(b, bits[round][0]);
		a = (a ^ c) - rotated(c, bits[round][1]);
		b = (b ^ a) - rotated(a, bits[round][2]);
	}
	return (c ^ b) - rotated(b, 24);
}

static inline int fitting(const struct observation *seen, uint32_t key)
{
	uint32_t sum = hash_of(seen->words, key + 0xdeadbeef + 12) + seen->added;

	return sum - seen->low <= seen->high - seen->low;
}

/* The keys from `from` up to, and not with, `to` that fit all observations, which are two at least: how many
 * there are, and the first `most` of them in `keys`.
 */
__attribute__((visibility("default")))
int skdiff_hash_keys(const struct observation *seen, int n, uint64_t from, uint64_t to, uint32_t *keys, int most)
{
	enum { BLOCK = 4096, FIRST = 2 };
	static __thread uint8_t fits[BLOCK];
	int found = 0;

	if (n < FIRST)
		return -1;
	for (uint64_t at = from; at < to; at += BLOCK) {
		/* The first observations alone, in a loop that the compiler can do many of at once. */
		for (int i = 0; i < BLOCK; i++)
			fits[i] = fitting(&seen[0], (uint32_t)at + i) & fitting(&seen[1], (uint32_t)at + i);
		for (int i = 0; i < BLOCK; i++) {
			uint64_t eight;

			if (!(i % 8)) {
				memcpy(&eight, fits + i, sizeof(eight));
				if (!eight) {
					i += 7;
					continue;
				}
			}
			int ok = fits[i] && at + i < to;

			for (int k = FIRST; ok && k < n; k++)
				ok = fitting(&seen[k], (uint32_t)at + i);
			if (ok && found++ < most)
				keys[found - 1] = (uint32_t)at + i;
		}
	}
	return found;
}
