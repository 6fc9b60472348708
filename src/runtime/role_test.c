/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/shard.h"

static void every_role_can_start_step_and_stop(void **state)
{
    const struct role_entry *role = NULL;
    unsigned seen = 0;
    (void)state;
    while ((role = role_next(ROLES_ALL, role)) != NULL) {
        assert_non_null(role->name);
        assert_true(role->start != NULL && role->step != NULL && role->stop != NULL);
        assert_true(role->tokens == 0 || role->on_bus != NULL);
        assert_true(role->rpcs == 0 || role->on_rpc != NULL);
        seen++;
    }
    assert_int_equal(seen, ROLE_COUNT);
    assert_null(role_next(0, NULL));
    assert_ptr_equal(role_next(ROLE_BIT(ROLE_PROCESSOR), NULL), &roles[ROLE_PROCESSOR]);
}

/* No event has two takers, whatever runs beside. */
static void the_marks_of_roles_do_not_overlap(void **state)
{
    uint64_t tokens = SHARD_OPERATOR_TOKEN;
    uint32_t rpcs = 0, consumers = 0;
    (void)state;
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        assert_true((tokens & roles[i].tokens) == 0);
        assert_int_equal(rpcs & roles[i].rpcs, 0);
        tokens |= roles[i].tokens;
        rpcs |= roles[i].rpcs;
        consumers += roles[i].consumes;
    }
    assert_int_equal(consumers, 1);
}

/* Every message between shards has a taker; what has none is refused by the decoder. */
static void every_rpc_has_its_role(void **state)
{
    static const struct {
        uint32_t body;
        enum role role;
    } cases[] = {
        {PB_RPC_BODY_ATTACH, ROLE_PROCESSOR}, {PB_RPC_BODY_DETACH, ROLE_PROCESSOR},
        {PB_RPC_BODY_ACKED, ROLE_PROCESSOR},  {PB_RPC_BODY_ATTACHED, ROLE_GATEWAY},
        {PB_RPC_BODY_DELIVER, ROLE_GATEWAY},  {PB_RPC_BODY_FENCE, ROLE_GATEWAY},
        {PB_RPC_BODY_REVOKE, ROLE_GATEWAY},   {PB_RPC_BODY_OUTCOME, ROLE_GATEWAY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pb_rpc rpc = {.body_case = cases[i].body};
        assert_ptr_equal(role_of_rpc(ROLES_ALL, &rpc), &roles[cases[i].role]);
        assert_null(role_of_rpc(ROLES_ALL & ~ROLE_BIT(cases[i].role), &rpc));
    }
    assert_null(role_of_rpc(ROLES_ALL, &(struct pb_rpc){.body_case = PB_RPC_BODY_NONE}));
}

static void bus_events_go_to_whose_they_are(void **state)
{
    static const struct {
        enum bus_event_kind kind;
        uint64_t token;
        enum role role;
    } cases[] = {
        {BUS_APPENDED, GATEWAY_TOKEN | 7, ROLE_GATEWAY},
        {BUS_APPENDED, LANE_TOKEN_BIT | 7, ROLE_PROCESSOR},
        {BUS_APPENDED, LIVE_TOKEN_BIT, ROLE_PROCESSOR},
        {BUS_RECORD, 0, ROLE_PROCESSOR},
        {BUS_HOLE, 0, ROLE_PROCESSOR},
        {BUS_ASSIGNED, 0, ROLE_PROCESSOR},
        {BUS_REVOKED, 0, ROLE_PROCESSOR},
        {BUS_FAILED, 0, ROLE_PROCESSOR},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bus_event event = {.kind = cases[i].kind, .token = cases[i].token};
        assert_ptr_equal(role_of_bus(ROLES_ALL, &event), &roles[cases[i].role]);
        assert_null(role_of_bus(ROLES_ALL & ~ROLE_BIT(cases[i].role), &event));
    }
    assert_null(role_of_bus(ROLES_ALL, &(struct bus_event){.kind = BUS_APPENDED}));
}

static void a_role_without_its_ports_does_not_start(void **state)
{
    struct gateway_ports none = {0};
    static struct shard shard;
    (void)state;
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        struct shard_options options = {.roles = ROLE_BIT(i)};
        assert_int_equal(shard_open(&shard, &none, NULL, &options), STATUS_INVALID);
        assert_int_equal(shard.roles, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_can_start_step_and_stop),
        cmocka_unit_test(the_marks_of_roles_do_not_overlap),
        cmocka_unit_test(every_rpc_has_its_role),
        cmocka_unit_test(bus_events_go_to_whose_they_are),
        cmocka_unit_test(a_role_without_its_ports_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
