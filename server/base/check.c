#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "level=error msg=\"this is a bug in baton: please report it\" check=\"%s\" at=%s:%d\n",
                  condition, file, line);
    (void)fflush(stderr);
    abort();
}
