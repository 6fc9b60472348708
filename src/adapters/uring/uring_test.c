/* SPDX-License-Identifier: Apache-2.0
 * What the contract (tests/integration/net_contract.c) cannot ask: a kernel that refuses. */
#include "adapters/uring/uring.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* From now on this process may make no rings. */
static bool forbid(int error)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool refused_in_words(int error)
{
    struct uring uring;
    struct failure failure = {0};
    const struct uring_options options = {.connections_max = 4};
    if (!forbid(error) || uring_open(&uring, &options, &failure) != STATUS_UNSUPPORTED)
        return false;
    uring_close(&uring); /* tolerates it */
    return strstr(failure.text, "the kernel refuses io_uring") != NULL;
}

static void a_refusal_is_told(void **state)
{
    (void)state;
    const int errors[] = {EPERM, ENOSYS, EINVAL};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        pid_t child = fork(); /* a filter is for ever */
        assert_true(child >= 0);
        if (child == 0)
            _exit(refused_in_words(errors[i]) ? 0 : 1);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_refusal_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
