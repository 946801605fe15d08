-- C structures, enums and functions of core/*.h for LuaJIT's ffi, copied by hand. cdefs.drift()
-- compares them with what the compiler says of the headers.

local ffi = require "ffi"
local t = require "support"

local cdefs = {}

cdefs.headers = { "util.h", "job.h", "store.h", "backoff.h", "heap.h", "output.h", "ids.h" }

cdefs.text = [[
enum err_code { ERR_NONE = 0, ERR_FAILED = 1, ERR_USAGE = 2, ERR_NOT_FOUND = 3, ERR_STATE = 4,
    ERR_PARTLY = 5, ERR_STORE = 6, ERR_PERM = 7, ERR_CORRUPT = 8, ERR_UNKNOWN = 75,
    ERR_CONFIG = 78, ERR_BUSY = 100 };
struct err { enum err_code code; char text[1024]; };
struct buf { char *data; size_t len, cap; };

enum job_state { JOB_WAITING, JOB_PENDING, JOB_PROCESSING, JOB_COMPLETED, JOB_FAILED, JOB_DEAD,
    JOB_CANCELLED, JOB_SKIPPED, JOB_HELD, JOB_STATES };
enum job_kind { JOB_SHELL, JOB_ARGV, JOB_LUA, JOB_KINDS };
enum job_on { ON_SUCCESS, ON_FAILURE, ON_DONE, JOB_ONS };
enum job_cause { CAUSE_NONE, CAUSE_EXIT, CAUSE_SIGNAL, CAUSE_TIMEOUT, CAUSE_SPAWN, CAUSE_LUA,
    CAUSE_WORKER_LOST, CAUSE_CANCELLED, CAUSE_INTERRUPTED, CAUSE_OUTPUTS, CAUSE_DEPENDENCY,
    CAUSE_NOT_NEEDED, CAUSE_SNOOZE, CAUSE_WHEN, CAUSE_FAIL_FAST, CAUSE_EXPIRED, CAUSES };
enum { COMMAND_MAX = 131071, ENV_MAX = 65536, STDIN_MAX = 1048576, NAME_MAX_LEN = 200,
    QUEUE_MAX_LEN = 64, RETRIES_MAX = 1000000, DEATHS_MAX = 3 };

struct bytes { const char *data; size_t len; };
struct job_need { int64_t parent; bool by_seq; enum job_on on; };
struct job_spec {
    const char *id; const char *name, *queue, *group; enum job_kind kind;
    struct bytes command; struct bytes env; const char *cwd; struct bytes stdin_text;
    const char *stdin_path; int32_t priority, retries; int64_t timeout_ms; int64_t kill_after_ms;
    int64_t delay_ms; const char *backoff; struct bytes ok_codes; bool allow_failure;
    struct bytes outputs; struct bytes artifacts; bool when; bool fail_fast; int64_t start_at;
    int64_t max_age_ms; const char *limits; const char *source; int64_t done_as;
    const char *description, *tags, *meta;
    const struct job_need *needs; size_t needs_len;
};
struct job {
    int64_t seq; char *id, *name, *queue, *group; int64_t run; enum job_state state;
    enum job_kind kind; enum job_cause cause; int32_t priority, retries; int32_t tries;
    int64_t starts; int32_t deaths; int32_t waits; bool cancel; bool allow_failure;
    int64_t run_at, created_at, updated_at, started_at, finished_at;
    int64_t timeout_ms, kill_after_ms, delay_ms; int64_t worker; int exit_code, signal;
    char *error; struct buf command, env, ok_codes, outputs, stdin_text;
    char *cwd, *stdin_path, *backoff, *description, *tags, *meta; struct buf artifacts;
    bool when, fail_fast; bool agreed;
    int64_t start_at, max_age_ms; int64_t retried_at; char *limits; char *source;
};
struct outcome {
    enum job_cause cause; int exit_code, signal; int64_t started_at, finished_at, duration_ms;
    int64_t cpu_ms, max_rss_kb; int64_t output_total; const char *error; bool incomplete;
    const char *class; struct bytes report; const char *report_note;
    bool agreed;
};
struct decision { enum job_state state; int64_t delay_ms; bool keep_try; bool too_old; };
struct attempt {
    int64_t token; int32_t try_no; struct outcome outcome; char *error; char *worker_name;
    struct buf report; char *report_note, *class;
};
void attempt_free(struct attempt *a);

enum store_flags { STORE_CREATE = 1, STORE_WAIT = 2 };
enum { LANE_COMMON = 0 };
enum worker_stop { STOP_NONE = 0, STOP_DRAIN = 1, STOP_NOW = 2 };
enum notify { NOTIFY_WORK = 1, NOTIFY_WORKER_GONE = 2 };
enum { OUTPUT_HEAD = 65536, OUTPUT_TAIL = 196608 };
struct enqueued { int64_t seq; bool existed; enum job_state state; int64_t run_at; char id[129]; };
struct run_spec {
    const char *path; const char *hash; struct bytes text; bool fail_fast; bool detached;
    const char *info;
};
struct run {
    int64_t id; char *path, *hash, *text; int64_t started_at, finished_at;
    int64_t first_seq, last_seq; int64_t added; int64_t left; int64_t failed; int64_t worker;
    bool fail_fast, detached; bool halted; bool cancelled; char *info;
};
struct run_query { const char *path; int64_t after; int limit; };
struct worker_spec {
    const char *uid, *name, *host, *boot_id; int64_t pid, pid_ns; int slots; int64_t lane;
};
struct worker_info {
    int64_t id; char *uid, *name, *host, *boot_id;
    int64_t pid, pid_ns, lane, started_at, heartbeat_at; int64_t beat_boot_ms; int slots, busy;
    enum worker_stop stop;
};
struct orders { enum worker_stop stop; int64_t *cancel; size_t max, n; };
struct chunk { int64_t offset; int stream; int64_t at; struct bytes data; };
struct list_cursor { int64_t part, lane, at, seq; };
struct list_query { int state; int64_t run; struct list_cursor after; int limit; };
struct claim_query { int64_t lane, worker, now; int max; bool idle; };

enum backoff_kind { BACKOFF_EXPONENTIAL, BACKOFF_LINEAR, BACKOFF_FIXED, BACKOFF_DECORRELATED,
    BACKOFF_LIST, BACKOFF_KINDS };
enum backoff_jitter { JITTER_NONE, JITTER_EQUAL, JITTER_FULL, JITTERS };
enum { BACKOFF_LIST_MAX = 64 };
struct backoff {
    enum backoff_kind kind; enum backoff_jitter jitter; int64_t first_ms, cap_ms; double factor;
    int64_t list_ms[64]; size_t list_len;
};

struct heap_item { int64_t at; size_t pos; };
struct heap { struct heap_item **items; size_t len, cap; };

enum { OUTPUT_HELD = 458752, OUTPUT_PIECES = 512, OUTPUT_ERROR_TAIL = 1024 };
struct piece { int64_t offset, at; size_t start, len; int stream; };
struct output {
    int64_t total; struct buf held; struct piece *pieces; size_t pieces_len, pieces_cap;
    char error_tail[1024]; size_t error_len;
};

enum { ID_MAX = 128, JOB_ID_LEN = 12, UID_LEN = 32 };
]]

-- Pointers of struct store_ops in their order are checked by offset like any other fields.
cdefs.functions = [[
struct store_ops {
    const char *scheme;
    int (*open)(const char *path, unsigned flags, struct store **out, struct err *err);
    void (*close)(struct store *s);
    const char *(*side_dir)(struct store *s);
    int (*begin)(struct store *s, struct err *err);
    int (*commit)(struct store *s, struct err *err);
    void (*rollback)(struct store *s);
    void (*ring)(struct store *s);
    int (*enqueue)(struct store *s, int64_t run, const struct job_spec *specs, size_t n,
                   struct enqueued *out, struct err *err);
    int (*source_add)(struct store *s, const char *hash, struct bytes text, struct err *err);
    int (*source)(struct store *s, const char *hash, struct buf *out, struct err *err);
    int (*run_create)(struct store *s, const struct run_spec *spec, int64_t *id, struct err *err);
    int (*run_attach)(struct store *s, int64_t run, int64_t worker, struct err *err);
    int (*run_get)(struct store *s, int64_t id, const char *path, struct run *out,
                   struct err *err);
    int (*runs)(struct store *s, const struct run_query *q, struct run *out, size_t *n,
                int64_t *next, struct err *err);
    int (*run_left)(struct store *s, int64_t run, int64_t *left, bool *halted, struct err *err);
    int (*revive)(struct store *s, int64_t run, size_t *n, struct err *err);
    int (*move_run)(struct store *s, int64_t run, bool detached, struct err *err);
    int (*cancel_run)(struct store *s, int64_t run, size_t *n, size_t *running, struct err *err);
    int (*run_times)(struct store *s, int64_t run, struct buf *out, struct err *err);
    int (*worker_add)(struct store *s, const struct worker_spec *spec, int64_t *id,
                      struct err *err);
    int (*worker_beat)(struct store *s, int64_t id, struct err *err);
    int (*worker_stop)(struct store *s, int64_t id, enum worker_stop how, struct err *err);
    int (*workers)(struct store *s, struct worker_info **out, size_t *n, struct err *err);
    int (*orders)(struct store *s, int64_t worker, struct orders *orders, struct err *err);
    int (*promote)(struct store *s, int64_t lane, int64_t now, int64_t *next_due,
                   struct err *err);
    int (*claim)(struct store *s, const struct claim_query *q, struct job *out, size_t *n,
                 bool *alone, struct err *err);
    int (*finish)(struct store *s, const struct job *j, const struct outcome *o,
                  struct decision *d, struct err *err);
    int (*output_add)(struct store *s, const struct job *j, const struct chunk *chunks, size_t n,
                      int64_t total, struct err *err);
    int (*value_set)(struct store *s, int64_t seq, const char *key, struct bytes value,
                     struct err *err);
    int (*artifact_set)(struct store *s, int64_t seq, const char *path, int64_t size,
                        struct err *err);
    int (*recover)(struct store *s, int64_t worker, int64_t now, size_t *n, struct err *err);
    int (*has_work)(struct store *s, int64_t lane, struct err *err);
    int (*get)(struct store *s, const char *id, int64_t seq, struct job *out, struct err *err);
    int (*list)(struct store *s, const struct list_query *q, struct job *out, size_t *n,
                struct list_cursor *next, struct err *err);
    int (*counts)(struct store *s, int64_t *counts, struct err *err);
    int (*attempts)(struct store *s, int64_t seq, struct attempt **out, size_t *n,
                    struct err *err);
    int (*output_next)(struct store *s, int64_t seq, int64_t token, struct chunk *out,
                       struct err *err);
    int (*values)(struct store *s, int64_t seq, struct buf *out, struct err *err);
    int (*artifacts)(struct store *s, int64_t seq, struct buf *out, struct err *err);
    int (*needs)(struct store *s, int64_t seq, struct buf *out, struct err *err);
    int (*cancel)(struct store *s, const char *id, enum job_state *after, struct err *err);
    int (*retry)(struct store *s, const char *id, bool again, enum job_state *before,
                 struct err *err);
    int (*redefine)(struct store *s, const char *id, const struct job_spec *spec,
                    struct err *err);
    int (*notify_fd)(struct store *s);
    unsigned (*notify_drain)(struct store *s);
    int (*changed)(struct store *s);
    void (*checkpoint)(struct store *s, int64_t min_bytes);
};
struct store { const struct store_ops *ops; };
int store_open(const char *url, unsigned flags, struct store **out, struct err *err);
void run_free(struct run *r);
void worker_info_free(struct worker_info *w);

extern const char *const job_state_names[JOB_STATES];
extern const char *const job_kind_names[JOB_KINDS];
extern const char *const job_on_names[JOB_ONS];
extern const char *const job_cause_names[CAUSES];
int name_find(const char *const *names, int n, const char *name);
bool job_may_change(enum job_state from, enum job_state to);
bool job_is_final(enum job_state state);
bool job_skip_is_neutral(enum job_cause cause);
void job_free(struct job *j);
bool job_is_too_old(const struct job *j, int64_t at);
bool outcome_is_success(const struct job *j, const struct outcome *o);
struct decision decide(const struct job *j, const struct outcome *o, int64_t snooze_ms, int64_t now,
                       double random);

int err_set(struct err *err, enum err_code code, const char *fmt, ...);
void buf_add(struct buf *b, const void *p, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...);
void buf_json(struct buf *b, const char *p, size_t len);
void buf_drop(struct buf *b, size_t n);
void buf_free(struct buf *b);
size_t utf8_len(const char *p, size_t left);
char *text_escape(const char *p, size_t len, size_t max);
int file_read(const char *path, size_t max, struct buf *out, struct err *err);
int64_t clock_wall_ms(void);
int64_t clock_mono_us(void);

void heap_set(struct heap *h, struct heap_item *item, int64_t at);
void heap_remove(struct heap *h, struct heap_item *item);
struct heap_item *heap_top(const struct heap *h);
void heap_free(struct heap *h);

void output_put(struct output *o, int stream, int64_t at, const char *data, size_t len);
size_t output_unstored(const struct output *o, struct chunk **chunks);
void output_stored(struct output *o);
void output_free(struct output *o);

extern const struct backoff backoff_default;
int64_t backoff_delay(const struct backoff *b, int tries, int64_t last_ms, double random);
void backoff_print(const struct backoff *b, struct buf *out);
int backoff_parse(const char *text, struct backoff *out, struct err *err);

const char *pack_next(const char *list, size_t len, size_t *pos);
void pack_add(struct buf *list, int kind, const char *text);
const char *pack_value(const struct buf *list, const char *key);
void pack_add_value(struct buf *list, const char *key, const char *value);
bool pack_drop(struct buf *list, const char *key);
int pack_later(const char *text, long long *parent, const char **key, size_t *key_len,
               const char **name);
void id_make(char *out);
bool id_is_valid(const char *id);
int uid_make(char *out, struct err *err);
bool command_words(const char *text, size_t len, struct buf *argv);
]]

-- Field names by structure, constants in order: read from the texts above.
cdefs.fields, cdefs.constants = {}, {}

local function read_fields(body)
    local names = {}
    for declaration in body:gmatch("([^;]+);") do
        declaration = declaration:gsub("%b[]", "")
        local pointer = declaration:match("%(%*([%w_]+)%)%(")
        if pointer then
            names[#names + 1] = pointer
        else
            for part in (declaration .. ","):gmatch("([^,]+),") do
                names[#names + 1] = part:match("([%w_]+)%s*$")
            end
        end
    end
    return names
end

for text in (cdefs.text .. cdefs.functions):gmatch("struct [%w_]+ %b{};") do
    local name, body = text:match("^(struct [%w_]+) {(.*)};$")
    cdefs.fields[name] = read_fields(body)
end
for body in cdefs.text:gmatch("enum [%w_ ]*(%b{})") do
    for name in body:gmatch("[%u][%u%d_]+") do
        cdefs.constants[#cdefs.constants + 1] = name
    end
end

-- What we say: { "struct job" = size, "struct job.id" = offset, JOB_DEAD = value … }.
function cdefs.ours()
    local facts = {}
    for name, fields in pairs(cdefs.fields) do
        facts[name] = ffi.sizeof(name)
        for _, field in ipairs(fields) do
            facts[name .. "." .. field] = ffi.offsetof(name, field)
        end
    end
    for _, name in ipairs(cdefs.constants) do facts[name] = tonumber(ffi.C[name]) end
    return facts
end

-- The same facts, asked of the compiler.
function cdefs.compiled(dir)
    local lines = { "#include <stddef.h>", "#include <stdio.h>" }
    for _, header in ipairs(cdefs.headers) do
        lines[#lines + 1] = ('#include "%s"'):format(header)
    end
    lines[#lines + 1] = "int main(void) {"
    local function print_fact(key, expression)
        lines[#lines + 1] = ('printf("%s=%%lld\\n", (long long)(%s));'):format(key, expression)
    end
    for name, fields in pairs(cdefs.fields) do
        print_fact(name, ("sizeof(%s)"):format(name))
        for _, field in ipairs(fields) do
            print_fact(name .. "." .. field, ("offsetof(%s, %s)"):format(name, field))
        end
    end
    for _, name in ipairs(cdefs.constants) do print_fact(name, name) end
    lines[#lines + 1] = "return 0; }"
    t.write_file(dir .. "/facts.c", table.concat(lines, "\n"))
    local built = t.run { "gcc", "-D_GNU_SOURCE", "-I", t.root .. "/core", dir .. "/facts.c",
                          "-o", dir .. "/facts" }
    if built.code ~= 0 then error(built.err) end
    local facts = {}
    for key, value in t.run({ dir .. "/facts" }).out:gmatch("([^\n=]+)=(%-?%d+)\n") do
        facts[key] = tonumber(value)
    end
    return facts
end

return cdefs
