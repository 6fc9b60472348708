/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/memory.h"
#include "wire/devlist.h"
#include "wire/envelope.h"

struct rig *rig_new(void)
{
    struct rig *rig = memory_alloc(sizeof *rig);
    assert(rig != NULL && sodium_init() >= 0);
    memset(rig, 0, sizeof *rig);
    session_config_init(&rig->config);
    session_init(&rig->session, 77);
    arena_init(&rig->arena, SESSION_STEP_BYTES_MAX);
    arena_init(&rig->keep, (size_t)256 << 20);
    arena_init(&rig->lean, SESSION_STEP_BYTES_MAX);
    rig->mono_ms = 1000;
    return rig;
}

void rig_free(struct rig *rig)
{
    arena_deinit(&rig->arena);
    arena_deinit(&rig->keep);
    arena_deinit(&rig->lean);
    memory_free(rig);
}

static struct effect keep_effect(struct rig *rig, const struct effect *effect)
{
    struct effect copy = *effect;
    copy.bytes = arena_copy(&rig->keep, effect->bytes);
    copy.held = arena_copy(&rig->keep, effect->held);
    copy.hash = arena_copy(&rig->keep, effect->hash);
    struct read *reads = ARENA_ARRAY(&rig->keep, struct read, effect->reads_count);
    for (size_t i = 0; i < effect->reads_count; i++) {
        const struct read *read = &effect->reads[i];
        struct row_key *keys = ARENA_ARRAY(&rig->keep, struct row_key, read->keys_count + 1);
        if (read->keys_count > 0) /* a read of nothing has no keys */
            memcpy(keys, read->keys, read->keys_count * sizeof *keys);
        reads[i] = *read;
        reads[i].keys = keys;
    }
    copy.reads = reads;
    return copy;
}

static struct rows range(struct rig *rig, const struct read *read)
{
    struct row *out = ARENA_ARRAY(&rig->keep, struct row, read->rows_max + 1);
    size_t count = 0;
    for (size_t i = 0; i < rig->rows_count && count < read->rows_max; i++) {
        const struct row *row = &rig->rows[read->descending ? rig->rows_count - 1 - i : i];
        const struct row_key *low = &read->keys[0], *high = &read->keys[1];
        if (row_key_compare(&row->key, low) >= 0 && row_key_compare(&row->key, high) <= 0)
            out[count++] = *row;
    }
    return (struct rows){out, count};
}

static struct rows get(struct rig *rig, const struct read *read)
{
    struct row *out = ARENA_ARRAY(&rig->keep, struct row, read->keys_count + 1);
    for (size_t k = 0; k < read->keys_count; k++) {
        out[k].key = read->keys[k];
        for (size_t i = 0; i < rig->rows_count; i++)
            if (row_key_compare(&rig->rows[i].key, &read->keys[k]) == 0)
                out[k] = rig->rows[i];
    }
    return (struct rows){out, read->keys_count};
}

/* NOLINTBEGIN(misc-no-recursion): two calls deep, `answering` sees to that */
static void answer_read(struct rig *rig, const struct effect *effect, enum status status)
{
    struct event event = {.kind = EVENT_ROWS, .status = status};
    struct rows *results = ARENA_ARRAY(&rig->keep, struct rows, effect->reads_count + 1);
    for (size_t i = 0; status == STATUS_OK && i < effect->reads_count; i++)
        results[i] =
            effect->reads[i].range ? range(rig, &effect->reads[i]) : get(rig, &effect->reads[i]);
    event.ticket = effect->ticket;
    event.held = effect->held;
    event.results = results;
    event.results_count = status == STATUS_OK ? effect->reads_count : 0;
    rig->reads_done++;
    rig_event(rig, &event);
}

static void take_frame(struct rig *rig, struct slice bytes)
{
    assert(rig->frames_count < RIG_LIST && bytes.bytes <= 1u << 20);
    struct slice copy = arena_copy(&rig->keep, bytes);
    enum status status = pb_frame_decode(copy, &rig->keep, &rig->frames[rig->frames_count]);
    assert(status == STATUS_OK);
    rig->frames_count++;
}

static void take_effect(struct rig *rig, const struct effect *effect)
{
    assert(rig->close_code == 0); /* CLOSE is the last */
    switch (effect->kind) {
    case EFFECT_SEND: take_frame(rig, effect->bytes); break;
    case EFFECT_SUBMIT: rig->submits[rig->submits_count++] = keep_effect(rig, effect); break;
    case EFFECT_READ: rig->reads[rig->reads_count++] = keep_effect(rig, effect); break;
    case EFFECT_PASSWORD: rig->passwords[rig->passwords_count++] = keep_effect(rig, effect); break;
    case EFFECT_RPC: {
        struct slice copy = arena_copy(&rig->keep, effect->bytes);
        enum status status = pb_rpc_decode(copy, &rig->keep, &rig->rpcs[rig->rpcs_count++]);
        assert(status == STATUS_OK);
        break;
    }
    case EFFECT_ARM: rig->armed_ms = effect->at_mono_ms; break;
    case EFFECT_CLOSE: rig->close_code = effect->close_code; break;
    case EFFECT_ALARM:
        rig->alarm = effect->alarm;
        rig->alarms_count++;
        break;
    case EFFECT_RATE_BACK: rig->given[effect->rate]++; break;
    }
    assert(rig->submits_count < RIG_LIST && rig->reads_count < RIG_LIST &&
           rig->passwords_count < RIG_LIST && rig->rpcs_count < RIG_LIST);
}

static void one_step(struct rig *rig, struct event *event)
{
    struct effects effects = {.at = rig->effects, .max = SESSION_EFFECTS_MAX};
    event->mono_ms = rig->mono_ms;
    event->now_ms = 1700000000000u + rig->mono_ms;
    event->output_bytes = rig->output_bytes;
    memset(event->entropy, ++rig->entropy, sizeof event->entropy);
    if (rig->sweeping) {
        rig_starve(rig, event);
        rig_twist(rig, event);
    }
    arena_reset(&rig->arena);
    session_step(&rig->session, &rig->config, event, &rig->arena, &effects);
    session_check(&rig->session, &rig->config);
    rig->tally = effects.tally;
    for (size_t i = 0; i < effects.count; i++)
        take_effect(rig, &rig->effects[i]);
}

/* Reads are answered one after the other: the loop runs in the outermost call. */
void rig_event(struct rig *rig, struct event *event)
{
    if (!rig->answering)
        rig->mark = rig->frames_count;
    one_step(rig, event);
    if (rig->answering)
        return;
    rig->answering = true;
    while (!rig->hold_reads && rig->reads_count > 0) {
        struct effect read = rig->reads[0];
        rig->reads_count--;
        memmove(rig->reads, rig->reads + 1, rig->reads_count * sizeof read);
        answer_read(rig, &read, STATUS_OK);
    }
    rig->answering = false;
}
/* NOLINTEND(misc-no-recursion) */

void rig_rows(struct rig *rig, size_t read, enum status status)
{
    struct effect effect = rig->reads[read];
    rig->reads_count--;
    memmove(rig->reads + read, rig->reads + read + 1,
            (rig->reads_count - read) * sizeof rig->reads[0]);
    answer_read(rig, &effect, status);
}

void rig_open(struct rig *rig)
{
    struct event event = {.kind = EVENT_OPENED};
    rig_event(rig, &event);
}

void rig_bytes(struct rig *rig, struct slice frame, uint32_t limit_ms)
{
    struct event event = {.kind = EVENT_FRAME, .bytes = frame, .limit_retry_ms = limit_ms};
    rig_event(rig, &event);
}

void rig_frame(struct rig *rig, const struct pb_frame *frame)
{
    rig_bytes(rig, pb_frame_pack(frame, &rig->keep), 0);
}

void rig_rpc(struct rig *rig, const struct pb_rpc *rpc)
{
    struct event event = {.kind = EVENT_RPC, .rpc = rpc};
    rig_event(rig, &event);
}

void rig_deliver(struct rig *rig, uint64_t useq, bool with_entry)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_DELIVER};
    rpc.body.deliver = (struct pb_deliver){.user_id = rig_id(rig, 1), .useq = useq};
    rpc.body.deliver.has_entry = with_entry;
    rpc.body.deliver.entry.body_case = PB_ENTRY_BODY_OWN;
    rpc.body.deliver.entry.body.own = (struct pb_own){.chat_id = rig_id(rig, 9), .read_upto = useq};
    rig_rpc(rig, &rpc);
}

void rig_appended(struct rig *rig, size_t submit, enum status status)
{
    struct event event = {.kind = EVENT_APPENDED, .status = status, .log_epoch = 1, .offset = 9};
    assert(submit < rig->submits_count);
    event.ticket = rig->submits[submit].ticket;
    event.held = rig->submits[submit].held;
    rig_event(rig, &event);
}

void rig_hashed(struct rig *rig, size_t password, bool match)
{
    struct event event = {.kind = EVENT_HASHED, .match = match};
    assert(password < rig->passwords_count);
    event.ticket = rig->passwords[password].ticket;
    event.held = rig->passwords[password].held;
    if (!rig->passwords[password].verify)
        event.bytes = SLICE_LITERAL("$hash$");
    rig_event(rig, &event);
}

void rig_advance(struct rig *rig, uint64_t ms)
{
    struct event event = {.kind = EVENT_TIMER};
    rig->mono_ms += ms;
    rig_event(rig, &event);
}

void rig_outcome(struct rig *rig, uint32_t req, bool ok, uint32_t error, uint64_t ver)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_OUTCOME};
    rpc.body.outcome =
        (struct pb_outcome){.session = 77,
                            .req = req,
                            .code = ok ? PB_OUTCOME_CODE_OK : PB_OUTCOME_CODE_REFUSED,
                            .error = error,
                            .ver = ver};
    rig_rpc(rig, &rpc);
}

static void row_add(struct rig *rig, struct row row)
{
    size_t at = rig->rows_count;
    assert(rig->rows_count < RIG_ROWS);
    while (at > 0 && row_key_compare(&rig->rows[at - 1].key, &row.key) > 0)
        at--;
    if (at > 0 && row_key_compare(&rig->rows[at - 1].key, &row.key) == 0) {
        rig->rows[at - 1] = row;
        return;
    }
    memmove(&rig->rows[at + 1], &rig->rows[at], (rig->rows_count++ - at) * sizeof row);
    rig->rows[at] = row;
}

void rig_row(struct rig *rig, struct row_key key, const struct pb_type *type, const void *value)
{
    row_add(rig, (struct row){.key = key,
                              .found = true,
                              .value = pb_wrap(type, ROW_VERSION, value, &rig->keep)});
}

void rig_columns(struct rig *rig, struct row_key key, uint64_t a, uint64_t b)
{
    row_add(rig, (struct row){.key = key, .found = true, .columns = {a, b}});
}

const struct pb_frame *rig_last(const struct rig *rig, enum pb_frame_body body)
{
    assert(rig->frames_count > rig->mark);
    const struct pb_frame *frame = &rig->frames[rig->frames_count - 1];
    assert(frame->body_case == body);
    return frame;
}

void rig_expect_error(const struct rig *rig, uint32_t req, enum pb_error_code code)
{
    const struct pb_frame *frame = rig_last(rig, PB_FRAME_BODY_ERROR);
    assert(frame->req == req && frame->body.error.code == code);
}

size_t rig_count(const struct rig *rig, enum pb_frame_body body)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->frames_count; i++)
        count += rig->frames[i].body_case == body;
    return count;
}

struct pb_record rig_submitted(struct rig *rig, size_t submit)
{
    struct slice body;
    struct pb_record record;
    assert(submit < rig->submits_count);
    assert(pb_unwrap(rig->submits[submit].bytes, 1, &body) == STATUS_OK);
    assert(pb_record_decode(body, &rig->keep, &record) == STATUS_OK);
    return record;
}

struct slice rig_id(struct rig *rig, uint8_t first)
{
    uint8_t id[ID_BYTES] = {first};
    return arena_copy(&rig->keep, SLICE_OF(id));
}

void rig_hello(struct rig *rig, uint64_t conn, uint64_t cursor, uint32_t log_epoch)
{
    uint8_t seed[32] = {1}, public_key[32], secret[64], sig[64], space[512];
    (void)crypto_sign_seed_keypair(public_key, secret, seed);
    struct slice device = rig_id(rig, 1);
    struct pb_device_row row = {.user_id = device, .sigpub = SLICE_OF(public_key), .added_n = 1};
    if (rig->rows_count == 0 ||
        get(rig,
            &(struct read){.keys = (struct row_key[]){key_one(TABLE_DIR, device.at, DIR_DEVICE)},
                           .keys_count = 1})
                .at[0]
                .found == false)
        rig_row(rig, key_one(TABLE_DIR, device.at, DIR_DEVICE), &pb_device_row_type, &row);
    struct buf text = buf_over(space, sizeof space);
    devlist_session_message(slice_text(rig->config.server_name), slice_make(rig->session.nonce, 32),
                            device.at, conn, &text);
    (void)crypto_sign_detached(sig, NULL, space, text.bytes, secret);
    struct pb_frame frame = {.req = 1, .body_case = PB_FRAME_BODY_HELLO};
    frame.body.hello = (struct pb_hello){.device_id = device,
                                         .conn = conn,
                                         .log_epoch = log_epoch,
                                         .useq = cursor,
                                         .sig = SLICE_OF(sig)};
    rig_frame(rig, &frame);
}

void rig_attached(struct rig *rig, uint64_t head, uint64_t floor)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACHED};
    rpc.body.attached = (struct pb_attached){.session = 77,
                                             .conn = rig->session.conn,
                                             .useq = head,
                                             .dl_n = 1,
                                             .floor = floor,
                                             .log_epoch = 1};
    rig_rpc(rig, &rpc);
}

void rig_live(struct rig *rig, uint64_t cursor, uint64_t head)
{
    rig_open(rig);
    rig_hello(rig, 5, cursor, 1);
    assert(rig->session.state == SESSION_ATTACHING);
    rig_attached(rig, head, 0);
    assert(rig->session.state == SESSION_LIVE);
}

void rig_chat(struct rig *rig, uint8_t chat, uint64_t count, size_t envelope_bytes)
{
    struct slice id = rig_id(rig, chat), mine = rig_id(rig, 1), other = rig_id(rig, 2);
    uint8_t *envelope = arena_alloc(&rig->keep, envelope_bytes + 1);
    struct pb_chat_head head = {.cseq = count, .gen = 1, .mls_epoch = 1, .floor = 1, .kind = 1};
    struct pb_span span = {.from = 1};
    struct pb_member_row member = {.w_cseq = 1, .has_now = true};
    member.now = (struct pb_membership){.role = 1, .spans = &span, .spans_count = 1};
    struct pb_user_head user = {.useq = count, .dl_n = 1};
    struct pb_user_chat listed = {.last_cseq = count, .last_useq = count, .first_cseq = 1};
    rig_row(rig, key_one(TABLE_CHAT_HEAD, id.at, 0), &pb_chat_head_type, &head);
    rig_row(rig, key_two(TABLE_MEMBER, id.at, mine.at), &pb_member_row_type, &member);
    rig_row(rig, key_two(TABLE_MEMBER, id.at, other.at), &pb_member_row_type, &member);
    rig_row(rig, key_one(TABLE_USER_HEAD, mine.at, 0), &pb_user_head_type, &user);
    rig_row(rig, key_two(TABLE_USER_CHAT, mine.at, id.at), &pb_user_chat_type, &listed);
    for (uint64_t n = 1; n <= count; n++) {
        struct pb_inbox_row pointer = {.chat_id = id, .cseq = n, .counts = true};
        struct pb_msg_row row = {.has_entry = true};
        row.entry.body_case = PB_ENTRY_BODY_MESSAGE;
        row.entry.body.message =
            (struct pb_message){.chat_id = id,
                                .cseq = n,
                                .user_id = other,
                                .device_id = other,
                                .sctr = n,
                                .mid = rig_id(rig, (uint8_t)n),
                                .ts = n,
                                .envelope = slice_make(envelope, envelope_bytes)};
        row.entry.body.message.mid = other;
        rig_row(rig, key_one(TABLE_MSG, id.at, n), &pb_msg_row_type, &row);
        rig_row(rig, key_one(TABLE_INBOX, mine.at, n), &pb_inbox_row_type, &pointer);
    }
}

/* ---- frames of a client ---- */

void rig_ask(struct rig *rig, uint32_t req, enum pb_frame_body body)
{
    struct pb_frame frame = {.req = req, .body_case = body};
    rig_frame(rig, &frame);
}

void rig_ack(struct rig *rig, uint64_t useq)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_ACK};
    frame.body.ack.useq = useq;
    rig_frame(rig, &frame);
}

void rig_sync(struct rig *rig, uint32_t req, uint64_t from)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_SYNC};
    frame.body.sync.from_useq = from;
    rig_frame(rig, &frame);
}

struct pb_frame rig_send_frame(struct rig *rig, uint32_t req, uint8_t chat, uint64_t sctr)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_SEND};
    struct envelope_header header = {.gen = 1, .mls_epoch = 1, .sctr = sctr};
    struct buf envelope = buf_in(&rig->keep, 1024);
    header.chat[0] = chat;
    header.device[0] = 1;
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, 64 + ENVELOPE_TAG_BYTES + ENVELOPE_SIG_BYTES);
    frame.body.send = (struct pb_send){.chat_id = rig_id(rig, chat),
                                       .mid = rig_id(rig, (uint8_t)(100 + sctr)),
                                       .sctr = sctr,
                                       .envelope = buf_slice(&envelope)};
    return frame;
}

int rig_set_up(void **state)
{
    bool sweeping = *state != NULL;
    struct rig *rig = rig_new();
    rig->sweeping = sweeping;
    *state = rig;
    return 0;
}

int rig_tear_down(void **state)
{
    rig_free(*state);
    return 0;
}
