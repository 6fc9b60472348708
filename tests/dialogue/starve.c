/* SPDX-License-Identifier: Apache-2.0
 * The sweep over memory: session_rig.h says what it asks. */
#include <string.h>

#include "base/assert.h"
#include "session_rig.h"

#define STARVED_STEPS_MAX 200u /* of a test: long ones repeat themselves */

/* One step of a copy within `bytes` of memory. */
static struct session step_within(struct rig *rig, const struct event *event, size_t bytes,
                                  struct effects *effects)
{
    struct session session = rig->session;
    arena_reset(&rig->lean);
    rig->lean.bytes_max = bytes;
    session_step(&session, &rig->config, event, &rig->lean, effects);
    session_check(&session, &rig->config);
    return session;
}

static bool same_effect(const struct effect *a, const struct effect *b)
{
    return a->kind == b->kind && slice_equal(a->bytes, b->bytes) && slice_equal(a->held, b->held) &&
           memcmp(&a->ticket, &b->ticket, sizeof a->ticket) == 0 && a->topic == b->topic &&
           memcmp(a->key, b->key, ID_BYTES) == 0 && a->reads_count == b->reads_count &&
           a->close_code == b->close_code && a->at_mono_ms == b->at_mono_ms && a->rate == b->rate;
}

static bool is_detach(const struct effect *effect)
{
    return effect->kind == EFFECT_RPC;
}

/* Nothing was said: not even an error, for what was not found may be there. */
static void check_gave_up(const struct session *after, const struct effects *effects)
{
    size_t last = effects->count - 1;
    assert(after->state == SESSION_CLOSING && effects->count >= 1 && effects->count <= 2);
    assert(effects->at[last].kind == EFFECT_CLOSE && effects->at[last].close_code == 1013);
    assert(effects->count == 1 || is_detach(&effects->at[0]));
    assert(effects->tally.notes == 0 && effects->tally.sent == 0);
}

/* A step that was closing anyway may lack its last words, and says no others. */
static void check_closed(const struct effects *effects, const struct effects *plenty)
{
    size_t at = 0;
    for (size_t i = 0; i < effects->count; i++, at++) {
        while (at < plenty->count && !same_effect(&effects->at[i], &plenty->at[at]))
            at++;
        assert(at < plenty->count);
    }
}

void rig_starve(struct rig *rig, const struct event *event)
{
    static struct effect lean_at[SESSION_EFFECTS_MAX];
    bool enough = false, closing = rig->session.state == SESSION_CLOSING;
    if (closing || rig->starved++ >= STARVED_STEPS_MAX)
        return;
    arena_reset(&rig->lean); /* its chunks are of full size, also with little in them */
    rig->lean.bytes_max = SESSION_STEP_BYTES_MAX;
    assert(arena_alloc(&rig->lean, 16) != NULL);
    struct effects plenty = {.at = rig->effects, .max = SESSION_EFFECTS_MAX};
    struct session fed = rig->session;
    arena_reset(&rig->arena);
    session_step(&fed, &rig->config, event, &rig->arena, &plenty);
    for (size_t bytes = 0; !enough; bytes += bytes < 256 ? 16 : bytes / 64 * 16) {
        struct effects lean = {.at = lean_at, .max = SESSION_EFFECTS_MAX};
        struct session after = step_within(rig, event, bytes, &lean);
        enough = !rig->lean.exhausted;
        if (enough) {
            check_closed(&lean, &plenty);
            assert(lean.count == plenty.count && memcmp(&after, &fed, sizeof fed) == 0);
        } else if (fed.state == SESSION_CLOSING) {
            check_closed(&lean, &plenty);
        } else {
            check_gave_up(&after, &lean);
        }
    }
}
