/* Shell commands that need no shell. */
#ifndef QUEUECTL_COMMAND_H
#define QUEUECTL_COMMAND_H

#include "util.h"

/* If the text is nothing but plain words (no quoting, expansion, redirection, assignment, keyword
 * or shell builtin), put them into *argv (packed, pack.h) and return true. Executing the words is
 * then the same as giving the text to /bin/sh -c, at half the cost; where that fails the shell is
 * asked after all, so its words about the failure are the ones people see. */
bool command_words(const char *text, size_t len, struct buf *argv);

#endif
