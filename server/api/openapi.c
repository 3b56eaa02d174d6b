/* openapi: the bytes of openapi/baton.yaml, which the assembler takes in when this is built. */
#include "api/api.h"

__asm__(".pushsection .rodata\n"
        ".hidden api_openapi_begin\n"
        ".hidden api_openapi_end\n"
        ".global api_openapi_begin\n"
        ".global api_openapi_end\n"
        "api_openapi_begin:\n"
        ".incbin \"" BATON_OPENAPI_FILE "\"\n"
        "api_openapi_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const uint8_t api_openapi_begin[];
extern const uint8_t api_openapi_end[];

void api_render_openapi(struct api_answer *answer)
{
    answer->status = 200;
    answer->content_type = "application/yaml";
    buffer_clear(&answer->body);
    buffer_append(&answer->body, api_openapi_begin, (uintptr_t)api_openapi_end - (uintptr_t)api_openapi_begin);
}
