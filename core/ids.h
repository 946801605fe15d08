/* Names of things: job ids that people type, and random ids that nobody does. */
#ifndef QUEUECTL_IDS_H
#define QUEUECTL_IDS_H

#include "util.h"

enum { ID_MAX = 128, JOB_ID_LEN = 12, UID_LEN = 32 };

/* A made id: 12 characters of Crockford's base32 in lower case, 9 of time (ms since 1970) and 3 of
 * a number that starts at random and counts up, so ids made in one process sort in the order they
 * were made. Not unique by itself: the store refuses a second one and the caller asks again. */
void id_make(char out[JOB_ID_LEN + 1]);

/* A given id: 1-128 of [A-Za-z0-9_.:-], not beginning with '-'. */
bool id_is_valid(const char *id);

/* 128 random bits as 32 hex digits: unique per process start, whatever pid or host name says. */
int uid_make(char out[UID_LEN + 1], struct err *err);

#endif
