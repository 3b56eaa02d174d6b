/* frame_wire: the kinds of frames, shared out over three files. An encoder appends the body; a decoder fills the frame's
 * union, whose `kind` is set. Decoders return false for anything that isn't exactly one well-formed body. Private to
 * codec. */
#ifndef BATON_CODEC_FRAME_WIRE_H
#define BATON_CODEC_FRAME_WIRE_H

#include "codec/frame.h"
#include "codec/frame.pb-c.h"
#include "codec/wire.h"

/* frame_raft.c */
void frame_encode_request_vote(const struct frame *frame, struct buffer *body);
void frame_encode_request_vote_result(const struct frame *frame, struct buffer *body);
void frame_encode_append_entries(const struct frame *frame, struct buffer *body);
void frame_encode_append_entries_result(const struct frame *frame, struct buffer *body);
void frame_encode_install_snapshot(const struct frame *frame, struct buffer *body);
void frame_encode_timeout_now(const struct frame *frame, struct buffer *body);
void frame_encode_snapshot_chunk(const struct frame *frame, struct buffer *body);
void frame_encode_snapshot_ack(const struct frame *frame, struct buffer *body);
bool frame_decode_request_vote(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_request_vote_result(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_append_entries(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_append_entries_result(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_install_snapshot(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_timeout_now(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_snapshot_chunk(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_snapshot_ack(struct slice body, struct arena *arena, struct frame *frame);

/* frame_operations.c */
void frame_encode_operations(const struct frame *frame, struct buffer *body);
void frame_encode_outcomes(const struct frame *frame, struct buffer *body);
void frame_encode_cancel(const struct frame *frame, struct buffer *body);
void frame_encode_read_index(const struct frame *frame, struct buffer *body);
void frame_encode_read_index_result(const struct frame *frame, struct buffer *body);
bool frame_decode_operations(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_outcomes(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_cancel(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_read_index(struct slice body, struct arena *arena, struct frame *frame);
bool frame_decode_read_index_result(struct slice body, struct arena *arena, struct frame *frame);

#endif
