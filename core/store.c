#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "store_sqlite.h"

int store_open(const char *url, unsigned flags, struct store **out, struct err *err) {
    const char *colon = strstr(url, "://");
    if (!colon)
        return store_sqlite_ops.open(url, flags, out, err);
    return err_set(err, ERR_USAGE,
                   "--store %.200s: unknown kind of store '%.*s'; give a file's path", url,
                   (int)(colon - url), url);
}

void run_free(struct run *r) {
    free(r->path);
    free(r->hash);
    free(r->text);
    free(r->info);
    *r = (struct run){0};
}

void worker_info_free(struct worker_info *w) {
    free(w->uid);
    free(w->name);
    free(w->host);
    free(w->boot_id);
    *w = (struct worker_info){0};
}
