/* A job's secrets: read when it starts, given to it in its environment, and taken out of all that
 * it tells. They stand nowhere but in memory. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "mask.h"
#include "pack.h"
#include "secret.h"
#include "worker_impl.h"

struct slot_secrets { /* only where there is something to mask */
    struct mask *mask;
    struct mask_stream streams[2]; /* stdout, stderr */
    struct buf out;
};

/* "PLACE" of "NAME=PLACE": becomes "=NAME=VALUE". */
static int resolve(const char *entry, struct mask *mask, struct buf *env, struct err *err) {
    const char *place = strchr(entry, '=');
    if (!place)
        return err_set(err, ERR_CORRUPT, "secret %s: no place", entry);
    struct buf value = {0};
    int rc = secret_read(place + 1, &value, err);
    if (rc == 0) {
        mask_add(mask, value.data, value.len);
        buf_printf(env, "%c%.*s=%s", PACK_TEXT, (int)(place - entry), entry, value.data);
        buf_add(env, "", 1);
    }
    secret_wipe(&value);
    return rc;
}

int secrets_resolve(struct slot *s, struct buf *env, struct err *err) {
    const struct buf *list = &s->job.env;
    struct mask *mask = NULL;
    bool any = false;
    size_t pos = 0;
    int rc = 0;
    for (const char *e; rc == 0 && (e = pack_next(list->data, list->len, &pos));) {
        if (e[0] != PACK_SECRET) {
            buf_add(env, e, strlen(e) + 1);
            continue;
        }
        any = true;
        mask = mask ? mask : mask_new();
        rc = resolve(e + 1, mask, env, err);
    }
    if (mask && mask_seal(mask)) {
        s->secrets = xcalloc(1, sizeof(*s->secrets));
        s->secrets->mask = mask;
    } else {
        mask_free(mask);
    }
    return rc < 0 ? -1 : any;
}

static void pass_on(struct slot *s, int stream) {
    struct buf *out = &s->secrets->out;
    if (out->len)
        output_put(&s->output, stream, clock_wall_ms(), out->data, out->len);
    out->len = 0;
}

void secrets_output(struct slot *s, int stream, const char *data, size_t len) {
    struct slot_secrets *k = s->secrets;
    if (!k) {
        output_put(&s->output, stream, clock_wall_ms(), data, len);
        return;
    }
    mask_put(k->mask, &k->streams[stream - 1], data, len, &k->out);
    pass_on(s, stream);
}

void secrets_output_end(struct slot *s) {
    struct slot_secrets *k = s->secrets;
    for (int i = 0; k && i < 2; i++) {
        mask_end(&k->streams[i], &k->out);
        pass_on(s, i + 1);
    }
}

char *secrets_mask(const struct slot *s, const char *text, bool cut) {
    return s->secrets ? mask_text(s->secrets->mask, text, cut) : xstrdup(text);
}

bool secrets_are_in(const struct slot *s, const char *data, size_t len) {
    if (!s->secrets)
        return false;
    struct mask_stream stream = {0};
    struct buf out = {0};
    mask_put(s->secrets->mask, &stream, data, len, &out);
    mask_end(&stream, &out);
    bool found = out.len != len || memcmp(out.data, data, len) != 0;
    mask_stream_free(&stream);
    buf_free(&out);
    return found;
}

void secrets_free(struct slot *s) {
    struct slot_secrets *k = s->secrets;
    if (!k)
        return;
    for (int i = 0; i < 2; i++)
        mask_stream_free(&k->streams[i]);
    mask_free(k->mask);
    buf_free(&k->out);
    free(k);
    s->secrets = NULL;
}
