/* Reads one JSON text a line and writes, a line for each, what the library makes of it: cJSON or json-c, by the first
 * argument. Names and texts are C strings here, as every program gets them that uses these libraries. "AMBIGUOUS" where
 * asking an object for a name that it has gives another member than the one of that name. */
#include <cjson/cJSON.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ambiguous(const cJSON *value) {
    const cJSON *child;
    cJSON_ArrayForEach(child, value) {
        if (cJSON_IsObject(value) && cJSON_GetObjectItem(value, child->string) != child) return 1;
        if (cJSON_IsObject(value) && cJSON_GetObjectItemCaseSensitive(value, child->string) != child) return 1;
        if (ambiguous(child)) return 1;
    }
    return 0;
}

static void by_cjson(const char *line) {
    const char *end;
    cJSON *value = cJSON_ParseWithOpts(line, &end, 1);
    if (!value) { puts("NONE"); return; }
    char *text = cJSON_PrintUnformatted(value);
    puts(ambiguous(value) ? "AMBIGUOUS" : text);
    free(text);
    cJSON_Delete(value);
}

static void by_json_c(const char *line) {
    json_object *value = json_tokener_parse(line);
    if (!value) { puts("NONE"); return; }
    puts(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    json_object_put(value);
}

int main(int count, char **arguments) {
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int cjson = count > 1 && strcmp(arguments[1], "cjson") == 0;
    while ((length = getline(&line, &room, stdin)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        if (cjson) by_cjson(line); else by_json_c(line);
    }
    free(line);
    return 0;
}
