/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/password/pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define OPS_LIMIT    2
#define MEMORY_LIMIT (19u * 1024u * 1024u)
/* A hash of nobody's password, at our cost: unknown users take as long as known ones. */
#define DUMMY_HASH                                           \
    "$argon2id$v=19$m=19456,t=2,p=1$cGFybGV5LWR1bW15LXNhbA$" \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct job {
    uint64_t token;
    bool stop, verify, unknown;
    uint32_t password_bytes;
    uint8_t password[PASSWORD_BYTES_MAX];
    char hash[PASSWORD_HASH_BYTES];
};

struct password_thread {
    pthread_t thread;
    sem_t jobs_waiting;
    struct ring jobs, answers;
    struct waker *waker;
    uint32_t in_flight;
    bool weak; /* set before the first job */
};

static void work(struct job *job, bool weak, struct password_done *done)
{
    const char *password = (const char *)job->password;
    *done = (struct password_done){.token = job->token};
    if (job->verify) {
        int match = crypto_pwhash_str_verify(job->hash, password, job->password_bytes);
        done->match = match == 0 && !job->unknown;
    } else if (crypto_pwhash_str_alg(done->hash, password, job->password_bytes,
                                     weak ? crypto_pwhash_OPSLIMIT_MIN : OPS_LIMIT,
                                     weak ? crypto_pwhash_MEMLIMIT_MIN : MEMORY_LIMIT,
                                     crypto_pwhash_ALG_ARGON2ID13) != 0) {
        done->hash[0] = 0; /* no memory: the caller answers BUSY */
    }
    sodium_memzero(job, sizeof *job);
}

static void *run(void *argument)
{
    struct password_thread *thread = argument;
    for (;;) {
        while (sem_wait(&thread->jobs_waiting) != 0) { /* a signal: wait on */
        }
        struct job job;
        bool taken = ring_take(&thread->jobs, &job);
        assert(taken);
        if (job.stop)
            return NULL;
        struct password_done done;
        work(&job, thread->weak, &done);
        enum status put = ring_put(&thread->answers, &done);
        assert(put == STATUS_OK); /* as many places as jobs in flight */
        waker_wake(thread->waker);
    }
}

static enum status submit(struct password_pool *pool, struct job *job)
{
    if (pool->in_flight >= PASSWORD_QUEUE) {
        pool->refused++;
        return STATUS_BUSY;
    }
    struct password_thread *best = &pool->threads[0];
    for (uint32_t i = 1; i < pool->threads_count; i++)
        if (pool->threads[i].in_flight < best->in_flight)
            best = &pool->threads[i];
    enum status put = ring_put(&best->jobs, job);
    sodium_memzero(job, sizeof *job);
    if (put != STATUS_OK)
        return put;
    best->in_flight++;
    pool->in_flight++;
    (void)sem_post(&best->jobs_waiting);
    return STATUS_OK;
}

static enum status job_make(struct job *job, struct slice password, uint64_t token)
{
    *job = (struct job){.token = token};
    if (password.bytes > PASSWORD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (password.bytes > 0)
        memcpy(job->password, password.at, password.bytes);
    job->password_bytes = (uint32_t)password.bytes;
    return STATUS_OK;
}

static enum status pool_hash(struct password_port *port, struct slice password, uint64_t token)
{
    struct job job;
    enum status status = job_make(&job, password, token);
    return status != STATUS_OK ? status : submit((struct password_pool *)port, &job);
}

static enum status pool_verify(struct password_port *port, struct slice password, struct slice hash,
                               uint64_t token)
{
    struct job job;
    enum status status = job_make(&job, password, token);
    if (status != STATUS_OK)
        return status;
    job.verify = true;
    job.unknown = hash.bytes == 0;
    if (job.unknown)
        hash = SLICE_LITERAL(DUMMY_HASH);
    if (hash.bytes >= sizeof job.hash)
        return STATUS_TOO_LARGE;
    memcpy(job.hash, hash.at, hash.bytes);
    return submit((struct password_pool *)port, &job);
}

static size_t pool_poll(struct password_port *port, struct password_done *out, size_t max)
{
    struct password_pool *pool = (struct password_pool *)port;
    size_t count = 0;
    for (uint32_t i = 0; i < pool->threads_count; i++) {
        struct password_thread *thread = &pool->threads[i];
        while (count < max && ring_take(&thread->answers, &out[count])) {
            thread->in_flight--;
            pool->in_flight--;
            count++;
        }
    }
    return count;
}

static enum status thread_open(struct password_thread *thread, struct waker *waker)
{
    thread->waker = waker;
    enum status status = ring_open(&thread->jobs, 2 * PASSWORD_QUEUE, sizeof(struct job));
    if (status == STATUS_OK)
        status = ring_open(&thread->answers, PASSWORD_QUEUE, sizeof(struct password_done));
    if (status == STATUS_OK && (sem_init(&thread->jobs_waiting, 0, 0) != 0 ||
                                pthread_create(&thread->thread, NULL, run, thread) != 0))
        status = STATUS_IO;
    if (status != STATUS_OK) {
        ring_close(&thread->jobs);
        ring_close(&thread->answers);
    }
    return status;
}

enum status password_pool_open(struct password_pool *pool, uint32_t threads, struct waker *waker,
                               struct failure *failure)
{
    static const struct password_vtable table = {
        .hash = pool_hash, .verify = pool_verify, .poll = pool_poll};
    assert(threads >= 1 && threads <= PASSWORD_THREADS_MAX);
    *pool = (struct password_pool){.port.vtable = &table};
    if (sodium_init() < 0)
        return failure_set(failure, STATUS_IO, "libsodium does not start");
    pool->threads = memory_array(threads, sizeof *pool->threads);
    if (!pool->threads)
        return failure_set(failure, STATUS_BUSY, "no memory for the password pool");
    for (uint32_t i = 0; i < threads; i++) {
        enum status status = thread_open(&pool->threads[i], waker);
        if (status != STATUS_OK) {
            password_pool_close(pool);
            return failure_set(failure, status, "cannot start a thread for password hashing");
        }
        pool->threads_count++;
    }
    return STATUS_OK;
}

void password_pool_weaken(struct password_pool *pool)
{
    for (uint32_t i = 0; i < pool->threads_count; i++)
        pool->threads[i].weak = true;
}

void password_pool_close(struct password_pool *pool)
{
    struct job stop = {.stop = true};
    for (uint32_t i = 0; i < pool->threads_count; i++) {
        struct password_thread *thread = &pool->threads[i];
        enum status put = ring_put(&thread->jobs, &stop);
        assert(put == STATUS_OK); /* twice the queue: a stop always fits */
        (void)sem_post(&thread->jobs_waiting);
        (void)pthread_join(thread->thread, NULL);
        (void)sem_destroy(&thread->jobs_waiting);
        ring_close(&thread->jobs);
        ring_close(&thread->answers);
    }
    memory_free(pool->threads);
    *pool = (struct password_pool){0};
}
