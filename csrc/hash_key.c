/* Which start value of lookup3 makes the choices that a running kernel made: the key that it hashes with.
 * harness/skdiff/oracles/running/hash_key.py calls it.
 */
#include <stdint.h>
#include <string.h>

enum { BLOCK = 4096, FIRST = 3, BITS = 5 };

struct question {
	uint32_t words[3]; /* what is hashed */
	uint32_t added;    /* to the hash */
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

/* Which of 32 members. */
static inline uint32_t choice(const struct question *asked, uint32_t key)
{
	return (hash_of(asked->words, key + 0xdeadbeef + 12) + asked->added) >> (32 - BITS);
}

static int makes(const struct question *asked, int each, const uint8_t *chosen, uint32_t key)
{
	for (int i = 0; i < each; i++)
		if (choice(&asked[i], key) != chosen[i])
			return 0;
	return 1;
}

/* The kernel was asked `sets` times, a power of two, `each` questions (FIRST at least), with the number of the set added to
 * each word; `chosen` has what it chose, set by set. Words and key are added up before they are mixed, so set s tells of a
 * key what the first set would tell of that key and s: of `sets` keys in a row it is enough to try one.
 * Returns how many keys make all choices, and the first `most` of them in `keys`.
 */
__attribute__((visibility("default")))
int skdiff_hash_keys(const struct question *asked, int each, const uint8_t *chosen, int sets,
		     uint32_t *keys, int most)
{
	static __thread uint8_t begins[1 << (FIRST * BITS)];
	static __thread uint16_t first[BLOCK];
	int found = 0;

	memset(begins, 0, sizeof(begins));
	for (int s = 0; s < sets; s++) {
		const uint8_t *said = chosen + s * each;

		begins[(said[0] << BITS | said[1]) << BITS | said[2]] = 1;
	}
	for (uint64_t at = 0; at < UINT64_C(1) << 32; at += (uint64_t)BLOCK * sets) {
		/* A loop that the compiler can do many of at once. */
		for (int i = 0; i < BLOCK; i++) {
			uint32_t key = (uint32_t)at + i * sets;

			first[i] = (choice(&asked[0], key) << BITS | choice(&asked[1], key)) << BITS |
				   choice(&asked[2], key);
		}
		for (int i = 0; i < BLOCK; i++) {
			uint32_t key = (uint32_t)at + i * sets;

			if (!begins[first[i]])
				continue;
			for (int s = 0; s < sets; s++) {
				int other = 0;

				if (!makes(asked, each, chosen + s * each, key))
					continue;
				while (other < sets && makes(asked, each, chosen + other * each, key - s + other))
					other++;
				if (other == sets && found++ < most)
					keys[found - 1] = key - s;
			}
		}
	}
	return found;
}
