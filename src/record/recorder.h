/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * recorder: what its files share. Private to record/.
 *
 * `lock` is a semaphore of one: who holds it may touch everything below it, be it a fiber or the
 * piece of work that a fiber that holds it has offloaded.
 */
#include "record/messages.h"
#include "record/metrics.h"
#include "record/outlet.h"
#include "record/record.h"
#include "record/segments.h"
#include "record/sessions.h"

enum { TICK_MS = 50, BATCH_MAX = 1 << 20, LOG_MAX = 1 << 18, EVENTS_PER_TICK = 200000 };

struct source {
	struct record_ring ring;
	struct trace_reader *reader;
	struct buf batch; /* records read, */
	size_t used;      /* of which these octets were taken */
	int64_t held_us;  /* at_us of a record left for the next tick; INT64_MIN: none */
	int64_t limit_us; /* in this tick: records younger than this are left */
	bool has_next;    /* the record at `used` was looked at already: */
	struct str next;
	int64_t next_us;
	uint64_t lost;
	bool resuming; /* what is in the ring may be in the files already */
};

/* Up to where a role's events are in the files: rings outlive a recorder that is restarted. */
struct known {
	uint8_t role;
	uint8_t role_index;
	uint64_t sequence;
	int64_t wall_us;
};

/* A `session follow`. Made and emptied under the lock; freed by the recorder once it is dead. */
struct tap {
	struct list link;
	uint64_t session; /* 0: all */
	char viewer[128]; /* only what is this account's; "": all */
	struct buf records;
	uint64_t lost;
	bool dead; /* atomic: its fiber may have to leave without the lock */
};

struct recorder {
	struct semaphore lock;
	struct record_config config; /* its hostname is the one below */
	char hostname[LIMIT_domain + 1];
	struct source *sources[LIMIT_record_rings];
	size_t source_count;
	struct list taps;
	struct known known[LIMIT_record_rings];
	size_t known_count;
	moment begun_at;       /* what was written since cannot have been seen */
	int64_t known_wall_us; /* the newest of all; INT64_MIN: nothing is known */
	struct segments segments;
	struct sessions sessions;
	struct messages messages;
	struct metrics metrics;
	struct buf file;   /* records on their way to the disk */
	struct buf log;    /* lines on their way to the outlet */
	uint64_t left_out; /* lines for which there was no room; to be told in the log */
	uint64_t file_records;
	char failure[FAULT_TEXT_MAX]; /* newest failure of the disk; "" for none */
	/* Not under the lock: */
	struct outlet outlet; /* lines on their way to who reads them */
	struct waitq told;    /* followers, woken after each tick */
	void *own_ring;       /* in which the recorder itself is heard */
	struct trace *own;
	moment complained; /* when a failure was told last */
};

/* Takes note of a record in the files; is this one of those that are there? */
void known_note(struct recorder *recorder, const struct trace_head *head);
bool known_has(const struct recorder *recorder, const struct trace_head *head);
/*
 * Under the lock, in a worker or without a world: read, merge, note, write. Records whose at_us is
 * past the cutoff are left for the next time; wall_us names and ages files.
 */
void recorder_work(struct recorder *recorder, int64_t cutoff_us, int64_t wall_us);
/* Offloads recorder_work; then tells what was lost and wakes followers. */
enum err recorder_tick(struct recorder *recorder, bool everything) WAITS;
