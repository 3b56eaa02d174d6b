/* Strangers and broken peers make notes as fast as they like, so each cause says a few sentences a second and counts the
 * rest; the next sentence that is said carries the count. */
#include <stdarg.h>
#include <stdio.h>

#include "peer/peer_internal.h"

static bool note_is_due(struct note_window *window, uint64_t now_ms)
{
    if (window->said == 0 || now_ms - window->began_ms >= 1000) {
        window->began_ms = now_ms;
        window->said = 0;
    }
    if (window->said >= LIMIT_PEER_NOTES_PER_SECOND) {
        window->kept++;
        return false;
    }
    window->said++;
    return true;
}

void set_note(struct peer_set *set, enum note_cause cause, struct slice about, const char *format, ...)
{
    struct note_window *window = &set->notes[cause];
    if (set->closed || !note_is_due(window, loop_mono_ms(set->options.loop))) {
        return;
    }
    char text[1024]; /* names are bounded; what is longer is cut */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct buffer sentence;
    buffer_init(&sentence);
    buffer_append_slice(&sentence, slice_of(text));
    if (window->kept > 0) {
        buffer_printf(&sentence, " (%llu more of this kind were not shown)", (unsigned long long)window->kept);
        window->kept = 0;
    }
    buffer_append(&sentence, "", 1);
    set->options.handlers->note(set->options.arg, about, (const char *)sentence.base);
    buffer_close(&sentence);
}
