/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* The polynomial 0x1EDC6F41, bits reversed. */
enum { SLICES = 8 };
static const uint32_t POLYNOMIAL = 0x82F63B78;
static uint32_t table[SLICES][256];
static bool has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][i] = crc;
	}
	for (int slice = 1; slice < SLICES; slice++)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t before = table[slice - 1][i];

			table[slice][i] = (before >> 8) ^ table[0][before & 0xff];
		}
#if defined(__x86_64__)
	has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc,
								 const unsigned char *at,
								 size_t len)
{
	uint64_t wide = crc;
	uint64_t eight;

	for (; len >= 8; at += 8, len -= 8) {
		memcpy(&eight, at, 8);
		wide = _mm_crc32_u64(wide, eight);
	}
	crc = (uint32_t)wide;
	for (; len; at++, len--)
		crc = _mm_crc32_u8(crc, *at);
	return crc;
}
#endif

static uint32_t by_table(uint32_t crc, const unsigned char *at, size_t len)
{
	for (; len >= 8; at += 8, len -= 8) {
		crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
		       (uint32_t)at[3] << 24;
		crc = table[7][crc & 0xff] ^ table[6][(crc >> 8) & 0xff] ^
		      table[5][(crc >> 16) & 0xff] ^ table[4][crc >> 24] ^ table[3][at[4]] ^
		      table[2][at[5]] ^ table[1][at[6]] ^ table[0][at[7]];
	}
	for (; len; at++, len--)
		crc = (crc >> 8) ^ table[0][(crc ^ *at) & 0xff];
	return crc;
}

uint32_t crc32c(uint32_t crc, const void *at, size_t len)
{
	pthread_once(&once, prepare);
	crc = ~crc;
#if defined(__x86_64__)
	if (has_instruction)
		return ~by_instruction(crc, at, len);
#endif
	return ~by_table(crc, at, len);
}
