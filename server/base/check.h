/* check: what a bug does.
 *
 * Three kinds of error are kept apart everywhere in this program. A *bug* breaks a CHECK and aborts, in release builds
 * too, because a process that runs on after its own assumptions broke can grant a lock twice. The *world* (disk,
 * network, memory) returns an `enum error` (error.h) that must be looked at. The *domain* (held, too short, lost) is an
 * outcome, decided in core. */
#ifndef BATON_BASE_CHECK_H
#define BATON_BASE_CHECK_H

/* Aborts with file, line and the condition on standard error when `condition` is false. Never compiled out; the
 * condition may have side effects. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* Put on functions whose result must not be dropped. */
#define MUST_CHECK                                __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))

_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif
