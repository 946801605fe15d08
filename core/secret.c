#include "secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

void secret_guard_memory(void) {
    prctl(PR_SET_DUMPABLE, 0);
}

void secret_wipe(struct buf *b) {
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_free(b);
}

static int from_env(const char *name, struct buf *out, struct err *err) {
    const char *value = getenv(name);
    if (!value)
        return err_set(err, ERR_FAILED,
                       "secret env:%s: the worker has no such variable in its environment", name);
    buf_str(out, value);
    return 0;
}

static int from_file(const char *path, struct buf *out, struct err *err) {
    struct buf text = {0};
    struct err why = {0};
    int rc = file_read(path, SECRET_MAX, &text, &why);
    if (rc < 0)
        err_set(err, ERR_FAILED, "secret file:%s", why.text);
    else if (memchr(text.data, '\0', text.len))
        rc = err_set(err, ERR_FAILED, "secret file:%s: holds a NUL, which no variable can", path);
    else
        buf_add(out, text.data, text.len - (text.len && text.data[text.len - 1] == '\n'));
    secret_wipe(&text);
    return rc;
}

int secret_read(const char *place, struct buf *out, struct err *err) {
    static bool guarded;
    if (!guarded)
        secret_guard_memory();
    guarded = true;
    if (strncmp(place, "env:", 4) == 0)
        return from_env(place + 4, out, err);
    if (strncmp(place, "file:", 5) == 0)
        return from_file(place + 5, out, err);
    return err_set(err, ERR_FAILED, "secret %s: must be env:NAME or file:/PATH", place);
}
