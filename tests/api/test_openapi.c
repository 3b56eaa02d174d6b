/* The contract that a running node hands out is the file that it was built with; tests/openapi holds the file against the
 * tables. */
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

static void the_contract_is_served_as_it_is_in_the_file(void **state)
{
    (void)state;
    FILE *file = fopen(BATON_OPENAPI_FILE, "rb");
    assert_non_null(file);
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_live(&answer);
    api_render_openapi(&answer); /* an answer can be replaced */
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "application/yaml");
    assert_int_equal(answer.retry_after_s, 0);
    assert_memory_equal(answer.body.base, "openapi: 3.1", 12);
    uint8_t *bytes = malloc(answer.body.len + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, answer.body.len + 1, file), answer.body.len);
    assert_memory_equal(bytes, answer.body.base, answer.body.len);
    free(bytes);
    assert_int_equal(fclose(file), 0);
    api_answer_close(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_is_served_as_it_is_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
