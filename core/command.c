#include "command.h"

#include <stdlib.h>
#include <string.h>

#include "pack.h"

/* Words of the POSIX shell and of dash that are not programs, or not only. */
static const char *const shell_words[] = {
    ".",        ":",        "[",      "alias", "bg",      "break", "case",   "cd",       "chdir",
    "command",  "continue", "do",     "done",  "echo",    "elif",  "else",   "esac",     "eval",
    "exec",     "exit",     "export", "false", "fg",      "fi",    "for",    "function", "getopts",
    "hash",     "if",       "in",     "jobs",  "kill",    "local", "printf", "pwd",      "read",
    "readonly", "return",   "set",    "shift", "test",    "then",  "time",   "times",    "trap",
    "true",     "type",     "ulimit", "umask", "unalias", "unset", "until",  "wait",     "while",
};

static bool is_shell_word(const char *word) {
    for (size_t i = 0; i < ARRAY_LEN(shell_words); i++)
        if (strcmp(shell_words[i], word) == 0)
            return true;
    return false;
}

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            "_./:,@%+=-";

bool command_words(const char *text, size_t len, struct buf *argv) {
    char *copy = xmemdup0(text, len), *rest = NULL;
    bool ok = len < 4096 && strlen(copy) == len;
    size_t start = argv->len;
    for (char *word = ok ? strtok_r(copy, " \t", &rest) : NULL; word;
         word = strtok_r(NULL, " \t", &rest)) {
        bool first = argv->len == start;
        if (word[strspn(word, plain)] || (first && (strchr(word, '=') || is_shell_word(word)))) {
            ok = false;
            break;
        }
        pack_add(argv, PACK_TEXT, word);
    }
    ok = ok && argv->len > start;
    if (!ok)
        argv->len = start;
    free(copy);
    return ok;
}
