/* SPDX-License-Identifier: MIT */
/* What is on the wire: the numbers of the NBD protocol (doc/proto.md) and access to big-endian fields. */
#ifndef TRANSPORT_NBD_PROTO_H
#define TRANSPORT_NBD_PROTO_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define NBD_MAGIC 0x4e42444d41474943ULL     /* NBDMAGIC */
#define NBD_OPT_MAGIC 0x49484156454f5054ULL /* IHAVEOPT */
#define NBD_REP_MAGIC 0x0003e889045565a9ULL
#define NBD_REQUEST_MAGIC 0x25609513U
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698U
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efU

/* Handshake flags; the client's have the same values. */
#define NBD_FLAG_FIXED_NEWSTYLE 0x1U
#define NBD_FLAG_NO_ZEROES 0x2U

enum nbd_opt {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
};

#define NBD_REP_ACK 1U
#define NBD_REP_SERVER 2U
#define NBD_REP_INFO 3U
#define NBD_REP_META_CONTEXT 4U
#define NBD_REP_ERR_UNSUP 0x80000001U
#define NBD_REP_ERR_INVALID 0x80000003U
#define NBD_REP_ERR_UNKNOWN 0x80000006U
#define NBD_REP_ERR_TOO_BIG 0x80000009U

enum nbd_info {
	NBD_INFO_EXPORT = 0,
	NBD_INFO_NAME = 1,
	NBD_INFO_DESCRIPTION = 2,
	NBD_INFO_BLOCK_SIZE = 3,
};

/* Transmission flags. */
#define NBD_FLAG_HAS_FLAGS 0x001U
#define NBD_FLAG_READ_ONLY 0x002U
#define NBD_FLAG_SEND_FLUSH 0x004U
#define NBD_FLAG_SEND_FUA 0x008U
#define NBD_FLAG_SEND_TRIM 0x020U
#define NBD_FLAG_SEND_WRITE_ZEROES 0x040U
#define NBD_FLAG_SEND_DF 0x080U
#define NBD_FLAG_CAN_MULTI_CONN 0x100U
#define NBD_FLAG_SEND_CACHE 0x400U
#define NBD_FLAG_SEND_FAST_ZERO 0x800U

enum nbd_cmd {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
};

#define NBD_CMD_FLAG_FUA 0x1U
#define NBD_CMD_FLAG_NO_HOLE 0x2U
#define NBD_CMD_FLAG_DF 0x4U
#define NBD_CMD_FLAG_REQ_ONE 0x8U
#define NBD_CMD_FLAG_FAST_ZERO 0x10U

#define NBD_REPLY_FLAG_DONE 0x1U
#define NBD_REPLY_TYPE_NONE 0U
#define NBD_REPLY_TYPE_OFFSET_DATA 1U
#define NBD_REPLY_TYPE_BLOCK_STATUS 5U
#define NBD_REPLY_TYPE_ERROR 0x8001U

#define NBD_CONTEXT "base:allocation"
#define NBD_CONTEXT_ID 1U /* in the replies of this server */

#define NBD_NAME_MAX 4096U /* "Names and strings": longer ones need not be taken */

/* Sizes of the fixed parts. */
#define NBD_OPT_HEAD 16U
#define NBD_REP_HEAD 20U
#define NBD_REQUEST_HEAD 28U
#define NBD_SIMPLE_HEAD 16U
#define NBD_CHUNK_HEAD 20U

static inline uint16_t get_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

#endif
