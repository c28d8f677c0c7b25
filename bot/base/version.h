#pragma once

const char *version(void); /* "0.1.0" */
