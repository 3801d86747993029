/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sim_link (private): one simulated connection, as its two ends see TCP: in order, nothing
 * doubled, losses repaired by waiting.
 *
 * Invariants
 *  (1) What one side writes lies at once in the other's inbox; `arrived` says how much of it has
 *      come in by now. So only lengths travel.
 *  (2) Packets of one direction arrive in the order they were sent.
 *  (3) A connection goes when both ends are dropped, and takes its packets along.
 *
 * What it leaves out: congestion control, the bandwidth that retransmissions take, lost
 * acknowledgements (TCP's are cumulative, the next one repairs them).
 */
#include "fiber/sim.h"

enum sim_packet_kind { SIM_SYN, SIM_SYN_ACK, SIM_DATA, SIM_ACK, SIM_FIN, SIM_RESET, SIM_GIVE_UP };

struct sim_connection;

struct sim_end {
	struct stream stream;
	struct sim_connection *connection;
	unsigned side;
	/* What comes in. */
	struct buf inbox;
	size_t arrived;
	bool fin_arrived;
	bool reset;
	/* What goes out. */
	size_t unread; /* octets sent that the other side has not read, as far as we know */
	moment line_free;
	moment last_arrival;
	bool shut;
	bool stalled; /* a segment was lost for good; what follows it never arrives */
	bool dropped; /* nobody stands here (yet, or any more) */
	struct fiber *waiters[2];
};

struct sim_packet {
	struct timer timer;
	struct list link;
	struct sim_connection *connection;
	unsigned to;
	enum sim_packet_kind kind;
	size_t len; /* octets of SIM_DATA and SIM_ACK, tries of SIM_SYN */
};

struct sim_connection {
	struct list link;    /* in sim->connections */
	struct list backlog; /* in the listener's */
	struct sim_world *sim;
	struct sim_link behaviour;
	struct sim_end ends[2]; /* 0 is the one that connected */
	struct list packets;
	bool established; /* as the connecting side knows */
	bool refused;
	bool dark;
};

/* Both ends dropped and nothing under way; the caller sets what it needs. */
struct sim_connection *sim_connection_new(struct sim_world *sim);
void sim_send(struct sim_connection *connection, unsigned from, enum sim_packet_kind kind,
	      size_t len);
void sim_end_drop(struct sim_end *end);
void sim_end_reset(struct sim_end *end);
void sim_connection_cut(struct sim_connection *connection);
/* Of sim_net.c: a SYN has come to the address ends[1].stream.local. */
void sim_syn_arrived(struct sim_packet *syn);
