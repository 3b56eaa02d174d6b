#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

const char *error_describe(enum error error)
{
    switch (error) {
#define X(name, sentence)                                                                                              \
    case ERROR_##name:                                                                                                 \
        return sentence;
        ERROR_TABLE(X)
#undef X
    }
    check_failed("a known error", __FILE__, __LINE__);
}

enum error error_set(struct error_text *text, enum error error, const char *format, ...)
{
    if (text != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text->text, sizeof text->text, format, arguments);
        va_end(arguments);
    }
    return error;
}
