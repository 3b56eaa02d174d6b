#include "contract_universe.h"

const char *const universe_schedules[] = {"db-a", "db-b", "db-nightly", "job", "reboot.a", "w", "web-1", "web-2"};
const char *const universe_holders[] = {"h1", "h2", "h3", "h4", "h5", "h6"};
const char *const universe_groups[] = {"disk", "g", "net"};
const char *const universe_scopes[] = {"*", "db*", "db-*", "db-b", "db-b*", "job", "reboot.*", "w*", "web-1"};
