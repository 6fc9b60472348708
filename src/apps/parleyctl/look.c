/* SPDX-License-Identifier: Apache-2.0
 * look.c: what can be seen in the data folder itself, without changing a byte of it. */
#include <stdio.h>
#include <sys/stat.h>

#include "adapters/log/log.h"
#include "adapters/posix/file.h"
#include "adapters/system/system.h"
#include "apps/parleyctl/ctl.h"
#include "apps/parleyd/data.h"

/* ---- the log ---- */

static int log_judge(const struct log *log)
{
    char text[1024];
    if (log->state == LOG_FAILED) {
        (void)fprintf(stderr, "parleyctl: %s\n", log->failure.text);
        return CTL_PROBLEM;
    }
    log_report_text(log, text, sizeof text);
    (void)printf("%s\n", text);
    bool bad = log->report.verdict == LOG_DAMAGE || log->report.verdict == LOG_ROLLBACK;
    return bad ? CTL_PROBLEM : CTL_OK;
}

/* The folder was looked at and is there; nobody else has it open. */
static int log_look(const struct ctl *ctl)
{
    static struct log log;
    static struct posix_file file;
    struct failure failure = {0};
    struct log_options options = log_options_default();
    options.folder = "log";
    options.inspect = true;
    uint8_t id[ID_BYTES];
    enum status known = data_log_id(ctl->data, id);
    options.id = known == STATUS_OK ? id : NULL;
    if (known != STATUS_OK && known != STATUS_NOT_FOUND)
        (void)printf("problem: %s/keys/log.id cannot be read\n", ctl->data);
    int code = CTL_PROBLEM;
    if (posix_file_open(&file, ctl->data, NULL, &failure) != STATUS_OK) {
        (void)fprintf(stderr, "parleyctl: %s\n", failure.text);
        return code;
    }
    enum status status = log_open(&log, &file.port, system_clock(), system_entropy(), &options);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "parleyctl: no memory to read the log\n");
    } else {
        while (log.state == LOG_RECOVERING) {
            posix_file_wait(&file, 100);
            log_turn(&log);
        }
        code = log_judge(&log);
    }
    posix_file_close(&file);
    log_close(&log);
    return code;
}

static int data_judge(const struct ctl *ctl)
{
    struct failure failure = {0};
    if (data_look(ctl->data, &failure) == STATUS_OK)
        return CTL_OK;
    (void)fprintf(stderr, "parleyctl: %s\n", failure.text);
    return CTL_PROBLEM;
}

int ctl_log_verify(const struct ctl *ctl)
{
    int lock = -1;
    struct failure failure = {0};
    int code = data_judge(ctl);
    if (code != CTL_OK)
        return code;
    if (posix_lock_folder(ctl->data, &lock, &failure) != STATUS_OK) {
        (void)fprintf(stderr, "parleyctl: %s; stop it first, or ask it: parleyctl status\n",
                      failure.text);
        return CTL_PROBLEM;
    }
    code = log_look(ctl);
    posix_unlock_folder(lock);
    return code;
}

/* ---- the folder ---- */

/* Private means: nobody but the owner reads or writes. */
static int private_judge(const struct ctl *ctl, const char *name, bool folder)
{
    char path[512];
    struct stat found;
    (void)snprintf(path, sizeof path, "%s%s%s", ctl->data, name[0] != '\0' ? "/" : "", name);
    if (stat(path, &found) != 0 || (folder ? !S_ISDIR(found.st_mode) : !S_ISREG(found.st_mode))) {
        (void)printf("problem: %s is missing\n", path);
        return CTL_PROBLEM;
    }
    if ((found.st_mode & 077) != 0) {
        (void)printf("problem: %s can be reached by others (mode %03o): chmod go= %s\n", path,
                     (unsigned)found.st_mode & 0777, path);
        return CTL_PROBLEM;
    }
    return CTL_OK;
}

int ctl_check(const struct ctl *ctl)
{
    static const struct {
        const char *name;
        bool folder;
    } parts[] = {{"", true},
                 {"keys", true},
                 {"keys/witness.key", false},
                 {"keys/server.id", false},
                 {"log", true}};
    int code = data_judge(ctl);
    if (code != CTL_OK)
        return code;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (private_judge(ctl, parts[i].name, parts[i].folder) != CTL_OK)
            code = CTL_PROBLEM;
    int other = ctl_server_sound(ctl);
    if (other == CTL_NO_SERVER)
        other = ctl_log_verify(ctl);
    code = other != CTL_OK ? other : code;
    (void)printf(code == CTL_OK ? "sound\n" : "not sound: see above\n");
    return code;
}
