/* The version comes from project() in CMakeLists.txt, so that it is written in one place only. */
#include "bot/base/version.h"

const char *version(void)
{
    return SQUADBOT_VERSION;
}
