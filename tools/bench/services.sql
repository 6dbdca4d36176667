INSERT INTO cim.organisation (id, name_zh, name_en)
SELECT 'org-' || n, (ARRAY['规划和自然资源局','水务局','交通运输局','住房和建设局','城市管理局','气象局','公安局','应急管理局'])[1 + n % 8] || n,
       (ARRAY['Planning Bureau','Water Authority','Transport Bureau','Housing Bureau','City Management','Weather Bureau',
              'Police','Emergency Bureau'])[1 + n % 8] || ' ' || n
FROM generate_series(1, {organisations}) AS n ON CONFLICT DO NOTHING;

INSERT INTO cim.service (id, state, kind, organisation_id, title_zh, title_en, description_zh, description_en, themes, endpoints,
  share_class, cim_level, area_code, geom, licence, contact, update_cycle, created_at, updated_at, published_at, time_from, time_to,
  content_hash)
SELECT 'bench-' || lpad(n::text, 7, '0'),
  CASE WHEN r[1] < 0.94 THEN 'published' WHEN r[1] < 0.97 THEN 'draft' ELSE 'withdrawn' END,
  (ARRAY['wms','wfs','wmts','features','tiles','rest','file','3dtiles','video','arcgis','xyz','ogcapi','stac','s3m','i3s','statistics'])
    [1 + floor(power(r[2], 2) * 16)::int],
  'org-' || org, subject_zh || place_zh || what_zh || n, subject_en || ' of ' || place_en || ' ' || what_en || ' ' || n,
  place_zh || subject_zh || '的' || what_zh || '，由主管部门' || cycle || '更新，覆盖全部街道和社区，供规划、建设、管理使用。'
    || repeat('数据经过质量检查，坐标系为国家大地坐标系。', 1 + (r[3] * 5)::int),
  subject_en || ' data of the district of ' || place_en || ', as a ' || what_en || ', kept by the authority in charge and updated '
    || cycle || '. ' || repeat('Quality is checked; coordinates are in CGCS2000. ', 1 + (r[4] * 5)::int),
  jsonb_build_array(subject_zh, (ARRAY['规划','imagery','交通','water','应急','建筑','环境','人口','经济','文化'])[1 + floor(r[5] * 10)::int]),
  jsonb_build_array(jsonb_build_object('url', 'https://maps.example/' || n, 'kind', 'wms')),
  (ARRAY['unconditional','conditional','conditional','not_shared'])[1 + floor(r[6] * 4)::int],
  CASE WHEN r[7] < 0.7 THEN 1 + floor(r[7] * 10)::int END,
  CASE WHEN r[8] < 0.9 THEN '4403' || lpad((3 + floor(r[8] * 10))::text, 2, '0')
    || CASE WHEN r[9] < 0.5 THEN lpad((1 + floor(r[9] * 18))::text, 3, '0') ELSE '' END ELSE '4403' END,
  CASE WHEN r[10] < 0.9 THEN ST_MakeEnvelope(113.7 + r[10] * 0.9, 22.4 + r[11] * 0.4, 113.72 + r[10] * 0.9 + r[3] * 0.05,
    22.42 + r[11] * 0.4 + r[4] * 0.05, 4326) END,
  'CC-BY-4.0', 'desk' || org || '@example.org', cycle,
  timestamptz '2020-01-01' + r[12] * interval '2000 days', timestamptz '2026-01-01' + r[13] * interval '300 days',
  timestamptz '2026-01-01' + r[13] * interval '300 days', date '2015-01-01' + (r[12] * 3000)::int,
  CASE WHEN r[13] < 0.5 THEN date '2024-01-01' + (r[13] * 600)::int END, md5(n::text)
FROM (
  SELECT n, org, r, (ARRAY['continual','daily','weekly','monthly','quarterly','yearly','irregular','once'])[1 + floor(r[14] * 8)::int] AS cycle,
    (ARRAY['历史影像','地下管线','道路','建筑轮廓','河流水系','绿地','公交站点','规划用地','地名地址','气象观测','视频监控','人口网格'])
      [1 + (org + floor(r[15] * 4)::int) % 12] AS subject_zh,
    (ARRAY['imagery','pipelines','roads','building footprints','rivers','green space','bus stops','land use','addresses','weather',
           'video','population grid'])[1 + (org + floor(r[15] * 4)::int) % 12] AS subject_en,
    (ARRAY['福田区','罗湖区','南山区','宝安区','龙岗区','盐田区','龙华区','坪山区','光明区','大鹏新区'])[1 + floor(r[16] * 10)::int] AS place_zh,
    (ARRAY['Futian','Luohu','Nanshan','Baoan','Longgang','Yantian','Longhua','Pingshan','Guangming','Dapeng'])
      [1 + floor(r[16] * 10)::int] AS place_en,
    (ARRAY['服务','地图服务','数据集','瓦片','接口'])[1 + floor(r[17] * 5)::int] AS what_zh,
    (ARRAY['service','map','dataset','tiles','interface'])[1 + floor(r[17] * 5)::int] AS what_en
  FROM (
    SELECT n, 1 + n % {organisations} AS org,
      (SELECT array_agg(abs(hashint4extended(n, seed)) % 1000000 / 1000000.0) FROM generate_series(1, 17) AS seed) AS r
    FROM generate_series(1, {count}) AS n
  ) AS drawn
) AS made
